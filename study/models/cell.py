"""One layer stated by its step, and the core that is made of such layers.

    class Leaky(Cell):                                # a whole architecture
        recurrent = ("W_hh",)

        def __init__(self, features, hidden_size, rate=0.1):
            super().__init__(features, hidden_size)
            self.rate = rate
            self.W_xh = nn.Linear(features, hidden_size)
            self.W_hh = nn.Parameter(torch.empty(hidden_size, hidden_size))
            nn.init.orthogonal_(self.W_hh)

        def step(self, inputs, state):
            (h,) = state
            return ((1 - self.rate) * h + self.rate * (self.W_xh(inputs) + h @ self.W_hh.T).tanh(),)

    core = layered(Leaky)(features=8, hidden_size=64, num_layers=2, rate=0.2)

Unrolled forward, layers, dropout between them and what the probes ask for come from here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from inspect import Signature, signature
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from study.models.contract import Activations, Core, RecurrentBlock, State

GIVEN = ("features", "hidden_size")
"""What every cell is built with; its other arguments are options of its own."""


class Cell(nn.Module, ABC):
    """One layer of a recurrent network.

    Args:
        features: of what enters at a step.
        hidden_size: of what leaves it.

    Attributes:
        state_parts: names of the parts of the state; the first is what leaves the layer.
        memory: the name of the part that carries the past through time.
        bounded: whether what leaves stays within -1 and 1 whatever comes in.
        recurrent: names of the parameters that act on the state and do nothing where it is zero.
        stacked: see `Core`.
    """

    state_parts: ClassVar[tuple[str, ...]] = ("h",)
    memory: ClassVar[str] = "h"
    bounded: bool = False
    recurrent: tuple[str, ...] = ()
    stacked: tuple[str, ...] = ()

    def __init__(self, features: int, hidden_size: int):
        super().__init__()
        self.features, self.hidden_size = features, hidden_size

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of every part of the state; a matrix, or the real and imaginary part of a vector, end to end."""
        return (self.hidden_size,) * len(self.state_parts)

    def project(self, inputs: Float[Tensor, "*steps features"]) -> Tensor:
        """What of a step does not depend on the state: computed for all steps at once, it costs one large product.

        Each step's own, so that `step` takes them one by one: the first dimensions stay what they are.
        """
        return inputs

    @abstractmethod
    def step(self, inputs: Float[Tensor, "batch projected"], state: State) -> State:
        """The new state, in the order of `state_parts`: h must be computed from the very tensors returned beside it.

        Args:
            inputs: what `project` made of this step.
            state: each part (batch, width).
        """

    def unroll(self, inputs: Float[Tensor, "time batch projected"], state: State) -> tuple[Tensor, State]:
        """`step` after `step`: what leaves the layer at every one, (time, batch, hidden), and the state after the last.

        A layer whose state is linear in itself may do better (`study.models.scan`).
        """
        outputs = []
        for entering in inputs.unbind():
            state = self.step(entering, state)
            outputs.append(state[0])
        return torch.stack(outputs), state

    def train_unroll(self, inputs: Float[Tensor, "time batch projected"], state: State) -> tuple[Tensor, State]:
        """`unroll` as updates run it, see `Core.train_forward`; a cell may have a kernel (`study.models.kernel`)."""
        return self.unroll(inputs, state)

    def activations(self, inputs: Float[Tensor, "batch projected"], state: State) -> Activations:
        """What happens inside `step`: the activations that can saturate; none, unless a cell says which."""
        return Activations()

    def initial(self, inputs: Float[Tensor, "batch features"]) -> State:
        """The state before the first step, for every sequence: zeros, unless a cell has another one.

        Args:
            inputs: what enters the core, whichever layer this is: for its batch, type and device alone.
        """
        return tuple(inputs.new_zeros(inputs.shape[0], width) for width in self.widths)

    def blocks(self) -> Iterator[Tensor]:
        """The square matrices that take the state to the next step, as the step multiplies with them.

        Of every recurrent parameter that is square, or squares one under another, unless a cell says otherwise.
        """
        for name in self.recurrent:
            matrix = self.get_parameter(name)
            if matrix.ndim == 2 and matrix.shape[0] % matrix.shape[1] == 0:
                yield from matrix.split(matrix.shape[1])


class Layers(Core):
    """A core of stacked cells, the dropout between them.

    Args:
        cell: class of one layer.
        features: of an input step.
        hidden_size: of what leaves every layer.
        num_layers: stacked layers.
        dropout: share of a layer's outputs set to zero, in training, before the layer above reads them.
        options: further arguments of the cell.
    """

    takes_residual = True

    def __init__(
        self,
        cell: type[Cell],
        features: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        dropout: float = 0.0,
        **options: Any,
    ):
        super().__init__()
        self.hidden_size, self.num_layers = hidden_size, num_layers
        sizes = [features] + [hidden_size] * (num_layers - 1)
        self.cells = nn.ModuleList(cell(size, hidden_size, **options) for size in sizes)
        self.between = nn.Dropout(dropout if num_layers > 1 else 0.0)
        self.bounded, self.stacked = self._cell(0).bounded, self._cell(0).stacked
        self.state_parts, self.memory = cell.state_parts, cell.memory

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See `Core`."""
        return self._layer_by_layer(inputs, state, updates=False)

    def train_forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See `Core`."""
        return self._layer_by_layer(inputs, state, updates=True)

    def _layer_by_layer(self, inputs: Tensor, state: State | None, updates: bool) -> tuple[Tensor, State]:
        state, ends = state or self.initial_state(inputs), []
        for layer in range(self.num_layers):
            cell, entering = self._cell(layer), self.dropped(inputs) if layer else inputs
            unroll = cell.train_unroll if updates else cell.unroll
            outputs, end = unroll(cell.project(entering), tuple(part[layer] for part in state))
            inputs = self.above(entering, outputs) if layer < self.num_layers - 1 else outputs
            ends.append(end)
        return inputs, tuple(torch.stack(parts) for parts in zip(*ends, strict=True))

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        """See `Core`."""
        return self._cell(layer).step(self._cell(layer).project(inputs), state)

    def dropped(self, outputs: Tensor) -> Tensor:
        """See `Core`."""
        return self.between(outputs)

    def activations(self, layer: int, inputs: Tensor, state: State) -> Activations:
        """See `Core`."""
        return self._cell(layer).activations(self._cell(layer).project(inputs), state)

    @property
    def recurrent_parameters(self) -> tuple[str, ...]:
        """See `Core`."""
        return tuple(
            f"cells.{layer}.{name}" for layer in range(self.num_layers) for name in self._cell(layer).recurrent
        )

    def recurrent_blocks(self) -> Iterator[RecurrentBlock]:
        """See `Core`."""
        for layer in range(self.num_layers):
            for block, matrix in enumerate(self._cell(layer).blocks()):
                yield RecurrentBlock(layer, block, matrix)

    def initial_state(self, inputs: Tensor) -> State:
        """See `Core`."""
        starts = [self._cell(layer).initial(inputs[0]) for layer in range(self.num_layers)]
        return tuple(torch.stack(parts) for parts in zip(*starts, strict=True))

    def _cell(self, layer: int) -> Cell:
        cell = self.cells[layer]
        assert isinstance(cell, Cell)
        return cell


def layered(cell: type[Cell]) -> Callable[..., Core]:
    """What builds a core of such layers: takes features, hidden_size, num_layers, dropout, and the cell's options."""
    built = partial(Layers, cell)
    own = [p.replace(kind=p.KEYWORD_ONLY) for name, p in signature(cell).parameters.items() if name not in GIVEN]
    given = [p for p in signature(Layers).parameters.values() if p.name not in ("cell", "options")]
    built.__signature__ = Signature([*given, *own])  # type: ignore[attr-defined]
    return built
