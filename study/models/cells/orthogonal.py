"""Elman's network with W_hh orthogonal throughout: h_t = act(W_xh x_t + W_hh h_{t-1} + b), W_hh^T W_hh = I.

The product of the matrices keeps every norm, so the gradient cannot explode, and shrinks by the slopes of act alone
(Arjovsky, Shah & Bengio 2016, arXiv 1511.06464). W_hh = B exp(A - A^T), B the start, A lower triangular and free: any
step on A stays among the rotations of B (Lezcano-Casado & Martinez-Rubio 2019, arXiv 1901.08428). By torch's
parametrisation.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from study.models.cells.elman import ElmanLoops
from study.models.contract import Activations, State
from study.models.kernel import LoopedCell, Tensors
from study.schema.model.base import Kernel


class OrthogonalRNN(ElmanLoops, LoopedCell):
    """The exponential is taken once for all steps of a sequence, not once a step.

    Args:
        features: of an input step.
        hidden_size: units.
        activation: act, `tanh` or `relu`.
        kernel: what runs a layer in updates, see `study.schema.model.base.KernelConfig`.
    """

    recurrent = ("W_hh.parametrizations.weight.original",)

    def __init__(
        self,
        features: int,
        hidden_size: int,
        activation: Literal["tanh", "relu"] = "tanh",
        kernel: Kernel = "auto",
    ):
        super().__init__(features, hidden_size)
        self.kernel = kernel
        self.W_xh = nn.Linear(features, hidden_size)
        self.W_hh = nn.Linear(hidden_size, hidden_size, bias=False)
        nn.init.orthogonal_(self.W_hh.weight)
        if not self.W_hh.weight.is_meta:  # torch looks at the numbers; where sizes are counted there are none
            parametrizations.orthogonal(self.W_hh, orthogonal_map="matrix_exp")
        self.activation, self.bounded = activation, activation == "tanh"

    def project(self, inputs: Tensor) -> Tensor:
        """See `Cell`; W_xh x + b."""
        return self.W_xh(inputs)

    def step(self, inputs: Tensor, state: State) -> State:
        """See `Cell`."""
        total = torch.addmm(inputs, state[0], self.W_hh.weight.T)
        return (total.tanh() if self.activation == "tanh" else total.relu(),)

    def unroll(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Cell`."""
        with parametrize.cached():
            return super().unroll(inputs, state)

    def weights(self) -> Tensors:
        """See `LoopedCell`; W_hh, made of the free matrix."""
        return (self.W_hh.weight,)

    def activations(self, inputs: Tensor, state: State) -> Activations:
        """See `Cell`."""
        hidden = {"hidden": self.step(inputs, state)[0]}
        return Activations(tanh=hidden) if self.activation == "tanh" else Activations(relu=hidden)

    def blocks(self) -> Iterator[Tensor]:
        """See `Cell`; W_hh, made of the free matrix."""
        yield self.W_hh.weight
