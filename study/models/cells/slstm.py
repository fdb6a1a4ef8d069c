"""sLSTM: an LSTM whose input gate is an exponential, over a normaliser (Beck et al. 2024, xLSTM, arXiv 2405.04517).

    C_t = f C_{t-1} + exp(a_i) z,   N_t = f N_{t-1} + exp(a_i),   h_t = o C_t / N_t          (eq. 8-14 there)
    z = tanh(a_z),  o = sigmoid(a_o),  f = sigmoid(a_f) or exp(a_f),   a = W x_t + R h_{t-1} + b

An input much stronger than all before replaces the memory, whatever is stored: a revised decision. C and N leave the
range of floats, so the paper keeps both divided by exp(m), m_t the largest exponent so far (eq. 15-17). Here the state
is c = C / N and n = log N, which are those numbers without the factor that cancels:

    w = sigmoid(log f + n_{t-1} - a_i),   c_t = w c_{t-1} + (1 - w) z,   n_t = log(exp(log f + n_{t-1}) + exp(a_i))

so c is a mean of all z so far, each with its own weight. It is as stable, and every part of the state matters: along m
nothing changes, and measures of the state would count such directions as lasting memory.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.models.contract import Activations, State
from study.models.initialisation import Start, start_blocks
from study.models.kernel import LoopedCell, Tensors, of_matrix, sigmoid_slope, steps, steps_back, tanh_slope
from study.schema.model.base import Kernel


class SLSTM(LoopedCell):
    """The cell alone, with one head: no convolution before it and no projection around it.

    Args:
        features: of an input step.
        hidden_size: units.
        forget_gate: f, `sigmoid` or `exponential`.
        forget_bias: of a_f at the start.
        recurrent_init: how the four blocks of R start, see `study.models.initialisation`.
        gain: their scale at the start.
        kernel: what runs a layer in updates, see `study.schema.model.base.KernelConfig`.
    """

    bounded = True
    state_parts = ("h", "c", "n")
    memory = "c"
    recurrent = ("R",)
    stacked = ("input", "forget", "candidate", "output")

    def __init__(
        self,
        features: int,
        hidden_size: int,
        forget_gate: Literal["sigmoid", "exponential"] = "sigmoid",
        forget_bias: float = 1.0,
        recurrent_init: Start = "orthogonal",
        gain: float = 1.0,
        kernel: Kernel = "auto",
    ):
        super().__init__(features, hidden_size)
        self.kernel = kernel
        self.forget_gate = forget_gate
        self.W = nn.Linear(features, 4 * hidden_size)
        nn.init.constant_(self.W.bias[hidden_size : 2 * hidden_size], forget_bias)
        self.R = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        start_blocks(self.blocks(), recurrent_init, gain)

    def project(self, inputs: Tensor) -> Tensor:
        """See `Cell`; W x + b of input gate, forget gate, z and output gate."""
        return self.W(inputs)

    def step(self, inputs: Tensor, state: State) -> State:
        """See `Cell`."""
        a, kept, z, o = self._units(inputs, state)
        c = torch.lerp(z, state[1], kept.sigmoid())
        return o * c, c, a - functional.logsigmoid(-kept)

    def activations(self, inputs: Tensor, state: State) -> Activations:
        """See `Cell`; the retention is w, the share of the mean that what came before has."""
        _, kept, z, o = self._units(inputs, state)
        return Activations({"output": o, "retention": kept.sigmoid()}, {"candidate": z}, retention_gate="retention")

    def initial(self, inputs: Tensor) -> State:
        """See `Cell`; N = 0: the first input is all there is to the mean."""
        nothing = inputs.new_zeros(inputs.shape[0], self.hidden_size)
        return nothing, nothing, torch.full_like(nothing, -torch.inf)

    def forwards(self, inputs: Tensor, states: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; leaves z, o and what f and the input gate are made of, and w."""
        (h, c, n), R = states, weights[0].t().contiguous()
        units, w = torch.empty_like(inputs), torch.empty_like(h[1:])
        before, mean, weight, u = h[0], c[0], n[0], torch.empty_like(inputs[0])
        a, forget, z, o = u.chunk(4, -1)
        for entering, units_t, w_t, h_t, c_t, n_t in steps(inputs, units, w, h[1:], c[1:], n[1:]):
            torch.addmm(entering, before, R, out=u)
            kept = weight + self._log(forget)
            weight = torch.logaddexp(kept, a, out=n_t)
            mean = torch.lerp(z.tanh_(), mean, torch.sigmoid(kept.sub_(a), out=w_t), out=c_t)
            before = torch.mul(o.sigmoid_(), mean, out=h_t)
            units_t.copy_(u)
        return units, w

    def backwards(self, slopes: Tensors, states: Tensors, saved: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; dn/da = 1 - w, and dn/d log f = w, which is the way of n_{t-1} too."""
        (of_h, of_c, of_n), (h, c, _), (units, w), (R,) = slopes, states, saved, weights
        (_, forget, z, o), d = units.chunk(4, -1), torch.empty_like(units)
        d_a, d_f, d_z, d_o = d.chunk(4, -1)
        torch.sub(1, w, out=d_a)
        d_f.fill_(1) if self.forget_gate == "exponential" else torch.sigmoid(-forget, out=d_f)
        tanh_slope(d_a, z, d_z)
        sigmoid_slope(c[1:], o, d_o)
        into_w = sigmoid_slope(c[:-1] - z, w)
        for of_now, of_before, o_t, w_t, into, d_t, d_a_t, d_f_t, d_z_t, d_o_t in steps_back(
            of_h, o, w, into_w, d, d_a, d_f, d_z, d_o
        ):
            d_o_t.mul_(of_now)
            d_z_t.mul_(of_c.addcmul_(of_now, o_t))
            d_a_t.mul_(of_n).addcmul_(of_c, into, value=-1)
            d_f_t.mul_(of_n.mul_(w_t).addcmul_(of_c, into))
            of_c.mul_(w_t)
            of_before.addmm_(d_t, R)
        return d, of_matrix(d, h[:-1])

    def _log(self, forget: Tensor) -> Tensor:
        """Log f."""
        return forget if self.forget_gate == "exponential" else functional.logsigmoid(forget)

    def _units(self, inputs: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """a_i, the logarithm of w / (1 - w), z and o."""
        h, _, n = state
        a, forget, z, o = torch.addmm(inputs, h, self.R.T).chunk(4, -1)
        return a, self._log(forget) + n - a, z.tanh(), o.sigmoid()
