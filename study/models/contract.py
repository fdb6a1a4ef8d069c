"""The one contract of every model: time-major sequences and a state in, outputs and a state out."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

State = tuple[Tensor, ...]
"""What a core hands from one step to the next: (h,) or (h, c), each (layers, batch, hidden)."""


def detach(state: State | None) -> State | None:
    """The same state, cut off from the graph that made it: no gradient crosses."""
    return None if state is None else tuple(part.detach() for part in state)


class Inputs(NamedTuple):
    """What a task feeds at every step: `size` real features, or one or several of `size` tokens."""

    size: int
    tokens: bool


class Activations(NamedTuple):
    """The activations behind one step of one layer, by name, each (batch, hidden).

    Attributes:
        gates: sigmoids, in (0, 1).
        tanh: in (-1, 1).
        relu: not negative.
        retention_gate: the gate that says how much of the old state stays; None: there is none.
    """

    gates: Mapping[str, Tensor] = {}
    tanh: Mapping[str, Tensor] = {}
    relu: Mapping[str, Tensor] = {}
    retention_gate: str | None = None


class Core(nn.Module, ABC):
    """A recurrent core: h_1..h_T from x_1..x_T and the state before them; None is the zero state.

    Attributes:
        hidden_size: features of one output step.
        num_layers: stacked layers, the first dimension of every part of the state.
        bounded: whether h stays within -1 and 1 whatever comes in: then nearby states that part are chaos, else they
            may only be growing.
    """

    hidden_size: int
    num_layers: int
    bounded: bool

    @abstractmethod
    def forward(
        self, inputs: Float[Tensor, "time batch features"], state: State | None = None
    ) -> tuple[Float[Tensor, "time batch hidden"], State]:
        """Outputs of the last layer at every step, and the state after the last step."""

    @abstractmethod
    def step(self, layer: int, inputs: Float[Tensor, "batch features"], state: State) -> State:
        """One step of one layer, without dropout: its new state, whose first part is what the layer above reads.

        The same function as `forward`, opened up for the probes: the states a fused call returns are not on the way
        its outputs came, so the gradient cannot be asked for there.

        Args:
            layer: from 0, the lowest.
            inputs: what enters this layer.
            state: of this layer alone, each part (batch, hidden).
        """

    @abstractmethod
    def activations(self, layer: int, inputs: Float[Tensor, "batch features"], state: State) -> Activations:
        """What happens inside `step`: the activations that can saturate."""


class Embedding(nn.Embedding):
    """A learnt vector a token; of several tokens a step the sum over the root of their number, which keeps the scale.

    Words and their beginnings and ends make such steps (cf. Bojanowski et al. 2017, arXiv 1607.04606).
    """

    def forward(self, tokens: Int[Tensor, "time batch *features"]) -> Float[Tensor, "time batch encoded"]:
        """One vector a step."""
        embedded = super().forward(tokens)
        return embedded if tokens.ndim == 2 else embedded.sum(2) / math.sqrt(tokens.shape[2])


class RecurrentModel(nn.Module):
    """Encoder, recurrent core, head: tokens or features in, one vector of outputs a step out.

    Tokens are embedded in `core.hidden_size` dimensions; features enter the core as they are. Dropout acts on what
    enters the core and on what leaves it, never on the recurrence (Zaremba et al. 2014).

    Args:
        inputs: what enters.
        core: reads from the first step on.
        outputs: a step.
        dropout: share.
        reverse: a second core, which reads every sequence from its last step back, in all layers by itself (as in
            Peters et al. 2018, ELMo); the head sees what leaves both. None: the past is all there is.
    """

    def __init__(self, inputs: Inputs, core: Core, outputs: int, dropout: float = 0.0, reverse: Core | None = None):
        super().__init__()
        self.encoder = Embedding(inputs.size, core.hidden_size) if inputs.tokens else nn.Identity()
        self.core, self.reverse = core, reverse
        self.head = nn.Linear(core.hidden_size + (reverse.hidden_size if reverse else 0), outputs)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def encode(
        self, inputs: Float[Tensor, "time batch features"] | Int[Tensor, "time batch *features"]
    ) -> Float[Tensor, "time batch encoded"]:
        """What enters the core."""
        return self.dropout(self.encoder(inputs))

    def ahead(
        self, encoded: Float[Tensor, "time batch encoded"], mask: Bool[Tensor, "time batch"] | None
    ) -> Float[Tensor, "time batch hidden"] | None:
        """What the reverse core makes of every step and those after it; None where there is no such core.

        Args:
            encoded: what enters it, whole sequences: it starts from zero at the last step that counts.
            mask: see `study.tasks.contract.Batch`.
        """
        if self.reverse is None:
            return None
        turned, _ = self.reverse(turn(encoded, mask))
        return turn(turned, mask)

    def decode(
        self, hidden: Float[Tensor, "time batch hidden"], ahead: Float[Tensor, "time batch hidden"] | None = None
    ) -> Float[Tensor, "time batch outputs"]:
        """What the head makes of what leaves the core, and the reverse core."""
        return self.head(self.dropout(hidden if ahead is None else torch.cat([hidden, ahead], -1)))

    def forward(
        self,
        inputs: Float[Tensor, "time batch features"] | Int[Tensor, "time batch *features"],
        state: State | None = None,
        mask: Bool[Tensor, "time batch"] | None = None,
    ) -> tuple[Float[Tensor, "time batch outputs"], State]:
        """Outputs at every step, and the core's state after the last; only a reverse core asks for the mask."""
        encoded = self.encode(inputs)
        hidden, state = self.core(encoded, state)
        return self.decode(hidden, self.ahead(encoded, mask)), state


def turn(
    sequences: Float[Tensor, "time batch features"], mask: Bool[Tensor, "time batch"] | None
) -> Float[Tensor, "time batch features"]:
    """Every sequence from its last step that counts to its first; padding stays where it is. Twice is not at all."""
    if mask is None:
        return sequences.flip(0)
    steps = torch.arange(len(mask), device=mask.device)[:, None]
    last = (mask * steps).amax(0)
    places = torch.where(steps <= last, last - steps, steps)
    return sequences.gather(0, places[..., None].expand_as(sequences))
