"""The network around a core: an encoder before it, a head behind it, and if asked for a core that reads backwards."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from study.models.contract import Core, Inputs, State
from study.models.unrolled import Run, by_itself


class Embedding(nn.Embedding):
    """A learnt vector for every token; several tokens a step are summed and divided by the root of their number.

    The division keeps the scale. Words with their beginnings and ends make such steps (cf. Bojanowski et al. 2017,
    arXiv 1607.04606).
    """

    def forward(self, tokens: Int[Tensor, "time batch *features"]) -> Float[Tensor, "time batch encoded"]:
        """One vector a step."""
        embedded = super().forward(tokens)
        return embedded if tokens.ndim == 2 else embedded.sum(2) / math.sqrt(tokens.shape[2])


class ExtendedHead(nn.Linear):
    """A linear head with further outputs that are the same at every step: learnt, zero at first.

    Args:
        features: of what it reads.
        outputs: that depend on it.
        constants: how many others there are; they come last.
    """

    def __init__(self, features: int, outputs: int, constants: int):
        super().__init__(features, outputs)
        self.constants = nn.Parameter(torch.zeros(constants))

    def forward(self, hidden: Float[Tensor, "time batch features"]) -> Float[Tensor, "time batch outputs"]:
        """All outputs at every step."""
        return torch.cat([super().forward(hidden), self.constants.expand(*hidden.shape[:-1], -1)], -1)


class RecurrentModel(nn.Module):
    """Encoder, recurrent core, head: tokens or features in, one vector of outputs a step out.

    Tokens are embedded in `core.hidden_size` dimensions; features enter the core as they are. Dropout acts on what
    enters the core and on what leaves it, never on the recurrence (Zaremba et al. 2014).

    Args:
        inputs: what the task feeds at every step.
        core: reads every sequence from its first step to its last.
        outputs: numbers the head gives a step.
        dropout: share of features set to zero in training.
        reverse: a second core, which reads every sequence from its last step to its first, through all its layers
            independently (as in Peters et al. 2018, ELMo); the head sees the outputs of both. None: there is none.
        constants: further outputs, learnt and the same at every step, see `ExtendedHead`.

    Attributes:
        features: of what enters the core at a step.
    """

    def __init__(
        self,
        inputs: Inputs,
        core: Core,
        outputs: int,
        dropout: float = 0.0,
        reverse: Core | None = None,
        *,
        constants: int = 0,
    ):
        super().__init__()
        self.features = core.hidden_size if inputs.tokens else inputs.size
        self.encoder = Embedding(inputs.size, core.hidden_size) if inputs.tokens else nn.Identity()
        self.core, self.reverse = core, reverse
        read = core.hidden_size + (reverse.hidden_size if reverse else 0)
        self.head = ExtendedHead(read, outputs, constants) if constants else nn.Linear(read, outputs)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def tie(self) -> None:
        """Make the head's weights the embedding too; they start as the head's do."""
        assert isinstance(self.encoder, Embedding)
        self.encoder.weight = self.head.weight

    def encode(
        self, inputs: Float[Tensor, "time batch features"] | Int[Tensor, "time batch *features"]
    ) -> Float[Tensor, "time batch encoded"]:
        """What enters the core."""
        return self.dropout(self.encoder(inputs))

    def ahead(
        self,
        encoded: Float[Tensor, "time batch encoded"],
        mask: Bool[Tensor, "time batch"] | None,
        run: Run = by_itself,
    ) -> Float[Tensor, "time batch hidden"] | None:
        """Outputs of the reverse core at every step, which depend on that step and later ones; None without one.

        Args:
            encoded: whole sequences, as they enter the cores. The reverse core starts at the last step that counts.
            mask: see `study.tasks.contract.Batch`.
            run: runs the reverse core.
        """
        if self.reverse is None:
            return None
        outputs, _ = run(self.reverse, reverse_sequences(encoded, mask), None)
        return reverse_sequences(outputs, mask)

    def decode(
        self, hidden: Float[Tensor, "time batch hidden"], ahead: Float[Tensor, "time batch hidden"] | None = None
    ) -> Float[Tensor, "time batch outputs"]:
        """What the head makes of the outputs of the core and, where there is one, of the reverse core."""
        return self.head(self.dropout(hidden if ahead is None else torch.cat([hidden, ahead], -1)))

    def forward(
        self,
        inputs: Float[Tensor, "time batch features"] | Int[Tensor, "time batch *features"],
        state: State | None = None,
        mask: Bool[Tensor, "time batch"] | None = None,
        run: Run = by_itself,
    ) -> tuple[Float[Tensor, "time batch outputs"], State]:
        """Outputs at every step, and the core's state after the last; only a reverse core needs the mask.

        `run` runs the cores; training may have another way than their own, see `study.models.unrolled`.
        """
        encoded = self.encode(inputs)
        hidden, state = run(self.core, encoded, state)
        return self.decode(hidden, self.ahead(encoded, mask, run)), state


def reverse_sequences(
    sequences: Float[Tensor, "time batch features"], mask: Bool[Tensor, "time batch"] | None
) -> Float[Tensor, "time batch features"]:
    """Every sequence from its last step that counts to its first; padding stays in place. It is its own inverse."""
    if mask is None:
        return sequences.flip(0)
    steps = torch.arange(len(mask), device=mask.device)[:, None]
    last = (mask * steps).amax(0)
    places = torch.where(steps <= last, last - steps, steps)
    return sequences.gather(0, places[..., None].expand_as(sequences))
