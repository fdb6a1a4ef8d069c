"""Networks and data whose gradients are known, or can be worked out slowly: float64, the same at every call."""

import math
from collections.abc import Iterator
from inspect import signature
from itertools import groupby

import torch
from torch import Tensor, nn

from study.learning.losses import mse
from study.models import Activations, Core, Inputs, RecurrentBlock, RecurrentModel, State, core_class
from study.tasks.contract import Batch

FEATURES = 3
MSE = mse.MSE()


class Linear(Core):
    """h_t = W h_{t-1} + V x_t: d h_t / d h_{t-1} = W at every step, whatever the inputs."""

    bounded = False
    state_parts = ("h",)
    memory = "h"
    recurrent_parameters = ("weight",)

    def __init__(self, weight: Tensor, features: int):
        super().__init__()
        self.hidden_size, self.num_layers = len(weight), 1
        self.weight = nn.Parameter(weight.clone())
        self.inputs = nn.Linear(features, len(weight), bias=False)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """See `Core`."""
        hidden = inputs.new_zeros(inputs.shape[1], self.hidden_size) if state is None else state[0][0]
        outputs = []
        for entering in inputs:
            (hidden,) = self.step(0, entering, (hidden,))
            outputs.append(hidden)
        return torch.stack(outputs), (hidden[None],)

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        """See `Core`."""
        return (state[0] @ self.weight.T + self.inputs(inputs),)

    def activations(self, layer: int, inputs: Tensor, state: State) -> Activations:
        """See `Core`; nothing saturates."""
        return Activations()

    def recurrent_blocks(self) -> Iterator[RecurrentBlock]:
        """See `Core`."""
        yield RecurrentBlock(0, 0, self.weight)


def linear(weight: Tensor, outputs: int = 1) -> RecurrentModel:
    """A linear network, its input weights and head the same at every call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return RecurrentModel(Inputs(FEATURES, tokens=False), Linear(weight, FEATURES), outputs).double()


def orthogonal(size: int) -> Tensor:
    """A fixed orthogonal matrix."""
    return torch.linalg.qr(normal(size, size, seed=0)).Q


def scalable(name: str) -> bool:
    """Whether a registered core has square matrices of any scale, and not, say, orthogonal ones."""
    return "recurrent_init" in signature(core_class(name)).parameters


def random_network(name: str, gain: float, hidden_size: int = 48, layers: int = 1) -> RecurrentModel:
    """A registered core of `hidden_size` units; if `scalable`, every recurrent block W ~ N(0, gain^2 / hidden)."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        start = {"recurrent_init": "uniform"} if scalable(name) else {}
        core = core_class(name)(FEATURES, hidden_size, layers, **start)
        network = RecurrentModel(Inputs(FEATURES, tokens=False), core, 1).double()
    if not scalable(name):
        return network
    for layer, blocks in groupby(network.core.recurrent_blocks(), lambda block: block.layer):
        weights = [block.matrix for block in blocks]
        sizes = [weight.numel() for weight in weights]
        draws = normal(sum(sizes), seed=3 + layer) * gain / math.sqrt(hidden_size)
        for weight, drawn in zip(weights, draws.split(sizes), strict=True):
            weight.data.copy_(drawn.view_as(weight))
    return network


def normal(*shape: int, seed: int) -> Tensor:
    """Fixed draws."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def data(time: int, width: int) -> Batch:
    """Inputs and targets ~ N(0, 1)."""
    return Batch(normal(time, width, FEATURES, seed=1), normal(time, width, 1, seed=2))
