"""Minimal gated unit: h_t = (1 - f_t) h_{t-1} + f_t n_t, one gate (Zhou et al. 2016, arXiv 1603.09420, eq. 6-8)."""

import torch
from torch import Tensor, nn

from study.models.contract import Activations, State
from study.models.initialisation import Start, start_blocks
from study.models.kernel import LoopedCell, Tensors, of_matrix, sigmoid_slope, steps, steps_back, tanh_slope
from study.schema.model.base import Kernel


class MGU(LoopedCell):
    """f = sigmoid(W_f x + U_f h + b_f), n = tanh(W_n x + U_n (f h) + b_n).

    Args:
        features: of an input step.
        hidden_size: units.
        recurrent_init: how U_f and U_n start, see `study.models.initialisation`.
        gain: their scale at the start.
        kernel: what runs a layer in updates, see `study.schema.model.base.KernelConfig`.
    """

    bounded = True
    recurrent = ("U_f", "U_n")
    stacked = ("forget", "candidate")

    def __init__(
        self,
        features: int,
        hidden_size: int,
        recurrent_init: Start = "orthogonal",
        gain: float = 1.0,
        kernel: Kernel = "auto",
    ):
        super().__init__(features, hidden_size)
        self.kernel = kernel
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

    def forwards(self, inputs: Tensor, states: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; leaves f and n."""
        (h,), (U_f, U_n) = states, (matrix.t() for matrix in weights)
        f, n, before, reset = torch.empty_like(h[1:]), torch.empty_like(h[1:]), h[0], torch.empty_like(h[0])
        for a, b, f_t, n_t, h_t in steps(*inputs.chunk(2, -1), f, n, h[1:]):
            torch.addmm(a, before, U_f, out=f_t).sigmoid_()
            torch.addmm(b, torch.mul(f_t, before, out=reset), U_n, out=n_t).tanh_()
            before = torch.lerp(before, n_t, f_t, out=h_t)
        return f, n

    def backwards(self, slopes: Tensors, states: Tensors, saved: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; f acts on h by what it lets in, and on n by what it shows of h."""
        (of_h,), (h,), (f, n), (U_f, U_n) = slopes, states, saved, weights
        d = f.new_empty(*f.shape[:2], 2 * self.hidden_size)
        d_f, d_n = d.chunk(2, -1)
        sigmoid_slope(n - h[:-1], f, d_f)
        tanh_slope(f, n, d_n)
        shown, of_reset = sigmoid_slope(h[:-1], f), torch.empty_like(h[0])
        for of_now, of_before, d_f_t, d_n_t, shown_t, f_t in steps_back(of_h, d_f, d_n, shown, f):
            torch.mm(d_n_t.mul_(of_now), U_n, out=of_reset)
            d_f_t.mul_(of_now).addcmul_(of_reset, shown_t)
            of_before.add_(torch.lerp(of_now, of_reset, f_t, out=of_reset)).addmm_(d_f_t, U_f)
        return d, of_matrix(d_f, h[:-1]), of_matrix(d_n, f * h[:-1])

    def _units(self, inputs: Tensor, state: State) -> tuple[Tensor, Tensor]:
        (h,), (a, b) = state, inputs.chunk(2, -1)
        f = torch.addmm(a, h, self.U_f.T).sigmoid()
        return f, torch.addmm(b, f * h, self.U_n.T).tanh()
