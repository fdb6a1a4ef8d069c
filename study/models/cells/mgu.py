"""Minimal gated unit: h_t = (1 - f_t) h_{t-1} + f_t n_t, one gate (Zhou et al. 2016, arXiv 1603.09420, eq. 6-8)."""

import torch
from torch import Tensor, nn

from study.models.cell import Cell
from study.models.contract import Activations, State
from study.models.initialisation import Start, start_blocks


class MGU(Cell):
    """f = sigmoid(W_f x + U_f h + b_f), n = tanh(W_n x + U_n (f h) + b_n).

    Args:
        features: of an input step.
        hidden_size: units.
        recurrent_init: how U_f and U_n start, see `study.models.initialisation`.
        gain: their scale at the start.
    """

    bounded = True
    recurrent = ("U_f", "U_n")
    stacked = ("forget", "candidate")

    def __init__(self, features: int, hidden_size: int, recurrent_init: Start = "orthogonal", gain: float = 1.0):
        super().__init__(features, hidden_size)
        self.W = nn.Linear(features, 2 * hidden_size)
        self.U_f = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.U_n = nn.Parameter(torch.empty(hidden_size, hidden_size))
        start_blocks(self.blocks(), recurrent_init, gain)

    def project(self, inputs: Tensor) -> Tensor:
        """See `Cell`; W x + b of gate and candidate."""
        return self.W(inputs)

    def step(self, inputs: Tensor, state: State) -> State:
        """See `Cell`."""
        f, n = self._units(inputs, state)
        return (torch.lerp(state[0], n, f),)

    def activations(self, inputs: Tensor, state: State) -> Activations:
        """See `Cell`; the share of the old memory that stays is 1 - f."""
        f, n = self._units(inputs, state)
        return Activations(gates={"forget": f, "retention": 1 - f}, tanh={"candidate": n}, retention_gate="retention")

    def _units(self, inputs: Tensor, state: State) -> tuple[Tensor, Tensor]:
        (h,), (a, b) = state, inputs.chunk(2, -1)
        f = torch.addmm(a, h, self.U_f.T).sigmoid()
        return f, torch.addmm(b, f * h, self.U_n.T).tanh()
