"""The contract of every model: time-major sequences and a state in, outputs and a state out.

`study.testing.cores` holds the claims that every core must meet, ready for the tests of a core of your own.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

State = tuple[Tensor, ...]
"""What a core hands from one step to the next, such as (h,) or (h, c): each part (layers, batch, width of the part)."""


def detach(state: State | None) -> State | None:
    """The same state, cut off from the graph that made it: no gradient crosses."""
    return None if state is None else tuple(part.detach() for part in state)


class Inputs(NamedTuple):
    """What a task feeds at every step: `size` real features, or one or several of `size` tokens."""

    size: int
    tokens: bool


class Activations(NamedTuple):
    """The activations behind one step of one layer, by name, each (batch, units).

    Attributes:
        gates: sigmoids, in (0, 1).
        tanh: in (-1, 1).
        relu: not negative.
        retention_gate: name of the gate that says how much of the old memory stays: where it is 1, all of it, so that
            the gradient passes undiminished. One gate for every unit of the memory. None: there is no such gate.
    """

    gates: Mapping[str, Tensor] = {}
    tanh: Mapping[str, Tensor] = {}
    relu: Mapping[str, Tensor] = {}
    retention_gate: str | None = None


class RecurrentBlock(NamedTuple):
    """One square matrix that takes the state of a layer to the next step: all of W_hh, or the part of one gate.

    Attributes:
        layer: from 0, the lowest.
        block: from 0, within the layer.
        matrix: as the step multiplies with it. A view of the parameter, where it is one or a part of one.
    """

    layer: int
    block: int
    matrix: Float[Tensor, "size size"]


class Core(nn.Module, ABC):
    """A recurrent core: h_1..h_T from x_1..x_T and the state before them; None is `initial_state`.

    Attributes:
        hidden_size: features of one output step, and the width of the first part of the state.
        num_layers: stacked layers, the first dimension of every part of the state.
        bounded: whether h stays within -1 and 1 whatever comes in: then nearby states that part are chaos, else they
            may only be growing.
        state_parts: names of the parts of the state. The first is what the layer above, and the head, read. Parts may
            differ in width; a part that is a matrix is kept flattened.
        memory: the name of the part that carries the past through time.
        residual: what enters a layer is added to what leaves it for the layer above, where both have one width.
    """

    residual: bool = False
    hidden_size: int
    num_layers: int
    bounded: bool
    state_parts: tuple[str, ...]
    memory: str

    @abstractmethod
    def forward(
        self, inputs: Float[Tensor, "time batch features"], state: State | None = None
    ) -> tuple[Float[Tensor, "time batch hidden"], State]:
        """Outputs of the last layer at every step, and the state after the last step."""

    @abstractmethod
    def step(self, layer: int, inputs: Float[Tensor, "batch features"], state: State) -> State:
        """One step of one layer, without dropout: its new state, in the order of `state_parts`.

        The same function as `forward`, opened up for the probes: the states a fused call returns are not on the way
        its outputs came, so the gradient cannot be asked for there. For the same reason h must be computed from the
        very tensors that are returned beside it.

        Args:
            layer: from 0, the lowest.
            inputs: what enters this layer.
            state: of this layer alone, each part (batch, width).
        """

    @abstractmethod
    def activations(self, layer: int, inputs: Float[Tensor, "batch features"], state: State) -> Activations:
        """What happens inside `step`: the activations that can saturate."""

    @property
    @abstractmethod
    def recurrent_parameters(self) -> tuple[str, ...]:
        """Names of the parameters that act on the state, relative to the core; () if there are none."""

    @abstractmethod
    def recurrent_blocks(self) -> Iterator[RecurrentBlock]:
        """The square matrices among the recurrent parameters, lowest layer first; nothing if there are none."""

    def above(self, entering: Tensor, outputs: Tensor) -> Tensor:
        """What enters the layer above one that `entering` entered and whose `outputs` left it, without dropout."""
        return outputs + entering if self.residual and entering.shape == outputs.shape else outputs

    def initial_state(self, inputs: Float[Tensor, "time batch features"]) -> State:
        """The state that None stands for, for every sequence of `inputs`: zeros, unless a core learns another one."""
        with torch.no_grad():
            return tuple(torch.zeros_like(part) for part in self(inputs[:1])[1])


class Embedding(nn.Embedding):
    """A learnt vector for every token; several tokens a step are summed and divided by the root of their number.

    The division keeps the scale. Words with their beginnings and ends make such steps (cf. Bojanowski et al. 2017,
    arXiv 1607.04606).
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
        inputs: what the task feeds at every step.
        core: reads every sequence from its first step to its last.
        outputs: numbers the head gives a step.
        dropout: share of features set to zero in training.
        reverse: a second core, which reads every sequence from its last step to its first, through all its layers
            independently (as in Peters et al. 2018, ELMo); the head sees the outputs of both. None: there is none.

    Attributes:
        features: of what enters the core at a step.
    """

    def __init__(self, inputs: Inputs, core: Core, outputs: int, dropout: float = 0.0, reverse: Core | None = None):
        super().__init__()
        self.features = core.hidden_size if inputs.tokens else inputs.size
        self.encoder = Embedding(inputs.size, core.hidden_size) if inputs.tokens else nn.Identity()
        self.core, self.reverse = core, reverse
        self.head = nn.Linear(core.hidden_size + (reverse.hidden_size if reverse else 0), outputs)
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
        self, encoded: Float[Tensor, "time batch encoded"], mask: Bool[Tensor, "time batch"] | None
    ) -> Float[Tensor, "time batch hidden"] | None:
        """Outputs of the reverse core at every step, which depend on that step and later ones; None without one.

        Args:
            encoded: whole sequences, as they enter the cores. The reverse core starts at the last step that counts.
            mask: see `study.tasks.contract.Batch`.
        """
        if self.reverse is None:
            return None
        outputs, _ = self.reverse(reverse_sequences(encoded, mask))
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
    ) -> tuple[Float[Tensor, "time batch outputs"], State]:
        """Outputs at every step, and the core's state after the last; only a reverse core needs the mask."""
        encoded = self.encode(inputs)
        hidden, state = self.core(encoded, state)
        return self.decode(hidden, self.ahead(encoded, mask)), state


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
