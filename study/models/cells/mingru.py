"""Minimal GRU: h_t = (1 - z_t) h_{t-1} + z_t g(V x_t), z from the input alone (Feng et al. 2024, arXiv 2410.01201)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.models.contract import Activations, State
from study.models.scan import Diagonal


class MinGRU(Diagonal):
    """z = sigmoid(W x + b), candidate g(V x + c): the GRU without a reset gate, a tanh and any h in its gates.

    The form of the paper's experiments (its appendix B): the candidate goes through g, see `positive`, where its
    section 3.1 has the identity. There g is needed because the scan takes logarithms; here none are taken.

    Args:
        features: of an input step.
        hidden_size: units.
    """

    stacked = ("update", "candidate")

    def __init__(self, features: int, hidden_size: int):
        super().__init__(features, hidden_size)
        self.W = nn.Linear(features, 2 * hidden_size)

    def project(self, inputs: Tensor) -> Tensor:
        """See `Cell`; gate and candidate before their activations."""
        return self.W(inputs)

    def terms(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """See `Diagonal`; 1 - z as sigmoid(-k), which is exact where it is small."""
        gate, candidate = inputs.chunk(2, -1)
        return (-gate).sigmoid(), gate.sigmoid() * positive(candidate)

    def activations(self, inputs: Tensor, state: State) -> Activations:
        """See `Cell`; the share of the old memory that stays is 1 - z."""
        gate, _ = inputs.chunk(2, -1)
        gates = {"update": gate.sigmoid(), "retention": (-gate).sigmoid()}
        return Activations(gates=gates, retention_gate="retention")


def positive(x: Tensor) -> Tensor:
    """The paper's g: x + 1/2 where x is not negative, else sigmoid(x); continuous, increasing, above 0."""
    return torch.where(x >= 0, functional.relu(x) + 0.5, x.sigmoid())
