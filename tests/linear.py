"""A linear recurrent network, whose gradients are known in closed form: h_t = W h_{t-1} + V x_t."""

import torch
from torch import Tensor, nn

from study.models import Core, State, Units


class Linear(Core):
    """One layer; d h_t / d h_{t-1} = W at every step, whatever the inputs."""

    def __init__(self, weight: Tensor, features: int):
        super().__init__()
        self.hidden_size, self.num_layers = len(weight), 1
        self.weight = nn.Parameter(weight.clone())
        self.inputs = nn.Linear(features, len(weight), bias=False)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        hidden = inputs.new_zeros(inputs.shape[1], self.hidden_size) if state is None else state[0][0]
        outputs = []
        for entering in inputs:
            (hidden,) = self.step(0, entering, (hidden,))
            outputs.append(hidden)
        return torch.stack(outputs), (hidden[None],)

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        return (state[0] @ self.weight.T + self.inputs(inputs),)

    def units(self, layer: int, inputs: Tensor, state: State) -> Units:
        return Units()


def orthogonal(size: int) -> Tensor:
    """A fixed orthogonal matrix."""
    draws = torch.randn(size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.linalg.qr(draws).Q
