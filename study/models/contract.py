"""The contract of every model: time-major sequences and a state in, outputs and a state out.

`study.testing.cores` holds the claims that every core must meet, ready for the tests of a core of your own.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
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
        stacked: names of the gates and candidates whose rows lie one under another, in equal parts, in parameters that
            hold the weights of all of them; () where there is no such parameter.
        takes_residual: whether `forward` lets `above` stand between its layers.
        residual: what enters a layer is added to what leaves it for the layer above, where both have one width.
        recurrent_dropout: share of h set to zero, in training, where it enters a step; see `study.models.unrolled`.
    """

    stacked: tuple[str, ...] = ()
    takes_residual: ClassVar[bool] = False
    residual: bool = False
    recurrent_dropout: float = 0.0
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

    def train_forward(
        self, inputs: Float[Tensor, "time batch features"], state: State | None = None
    ) -> tuple[Float[Tensor, "time batch hidden"], State]:
        """`forward` as updates run it: the same function up to rounding.

        It may be differentiable only once, and call no forward hooks of the core; its outputs are not to be changed.
        """
        return self(inputs, state)

    def above(self, entering: Tensor, outputs: Tensor) -> Tensor:
        """What enters the layer above one that `entering` entered and whose `outputs` left it, without dropout."""
        return outputs + entering if self.residual and entering.shape == outputs.shape else outputs

    def dropped(self, outputs: Tensor) -> Tensor:
        """What a layer above the lowest gets of what was to enter it: in training, without a share set to zero."""
        return outputs

    def initial_state(self, inputs: Float[Tensor, "time batch features"]) -> State:
        """The state that None stands for, for every sequence of `inputs`: zeros, unless a core learns another one."""
        with torch.no_grad():
            return tuple(torch.zeros_like(part) for part in self(inputs[:1])[1])
