"""Members that only tests have, each with something that no member of the registries has."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from study.models import Activations, Core, RecurrentBlock, State
from study.models.cells.elman import Elman


class LearntStart(Elman):
    """An Elman network whose first state is learnt: only windows that start a sequence have a gradient for it."""

    def __init__(self, features: int, hidden_size: int, num_layers: int = 1, **options: Any):
        super().__init__(features, hidden_size, num_layers, **options)
        self.start = nn.Parameter(torch.zeros(num_layers, 1, hidden_size))

    def initial_state(self, inputs: Tensor) -> State:
        return (self.start.expand(-1, inputs.shape[1], -1).contiguous(),)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        return super().forward(inputs, self.initial_state(inputs) if state is None else state)


class Uneven(Core):
    """M = r m + (1 - r) tanh(V x), h = tanh(U m + W h): a wide memory m beside h, and a learnt initial state.

    Unlike the registered cores: the parts of its state differ in width, its gate r is a parameter, and neither its
    parameters nor the parts of its state have the usual names.
    """

    bounded = True
    state_parts = ("h", "traces")
    memory = "traces"

    def __init__(self, features: int, hidden_size: int, num_layers: int = 1):
        super().__init__()
        self.hidden_size, self.num_layers = hidden_size, num_layers
        sizes = [features] + [hidden_size] * (num_layers - 1)
        self.enter = nn.ParameterList(torch.randn(hidden_size + 2, n) / 2 for n in sizes)
        self.read = nn.ParameterList(torch.randn(hidden_size, hidden_size + 2) / 2 for _ in sizes)
        self.loop = nn.ParameterList(torch.randn(hidden_size, hidden_size) / 3 for _ in sizes)
        self.keep = nn.ParameterList(torch.rand(hidden_size + 2) + 0.5 for _ in sizes)
        self.start = nn.Parameter(torch.randn(num_layers, 1, hidden_size) / 2)

    @property
    def recurrent_parameters(self) -> tuple[str, ...]:
        """See `Core`."""
        return tuple(f"loop.{layer}" for layer in range(self.num_layers))

    def recurrent_blocks(self) -> Iterator[RecurrentBlock]:
        """See `Core`."""
        for layer, matrix in enumerate(self.loop):
            yield RecurrentBlock(layer, 0, matrix)

    def initial_state(self, inputs: Tensor) -> State:
        """See `Core`; a learnt h, empty traces."""
        width = inputs.shape[1]
        return self.start.expand(-1, width, -1), self.start.new_zeros(self.num_layers, width, self.hidden_size + 2)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See `Core`."""
        state, ends = state or self.initial_state(inputs), []
        for layer in range(self.num_layers):
            at, steps = tuple(part[layer] for part in state), []
            for entering in inputs:
                at = self.step(layer, entering, at)
                steps.append(at[0])
            inputs = torch.stack(steps)
            ends.append(at)
        return inputs, tuple(torch.stack(parts) for parts in zip(*ends, strict=True))

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        """See `Core`."""
        retained, new = self._traces(layer, inputs)
        traces = retained * state[1] + new
        return (traces @ self.read[layer].T + state[0] @ self.loop[layer].T).tanh(), traces

    def activations(self, layer: int, inputs: Tensor, state: State) -> Activations:
        """See `Core`."""
        retained, _ = self._traces(layer, inputs)
        hidden = {"hidden": self.step(layer, inputs, state)[0]}
        return Activations({"keep": retained}, hidden, retention_gate="keep")

    def _traces(self, layer: int, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The share that every trace keeps, and what is added to it."""
        retained = self.keep[layer].sigmoid().expand(len(inputs), -1)
        return retained, (1 - retained) * (inputs @ self.enter[layer].T).tanh()
