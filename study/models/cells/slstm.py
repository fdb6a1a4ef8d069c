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

from study.models.cell import Cell
from study.models.contract import Activations, State
from study.models.initialisation import Start, start_blocks


class SLSTM(Cell):
    """The cell alone, with one head: no convolution before it and no projection around it.

    Args:
        features: of an input step.
        hidden_size: units.
        forget_gate: f, `sigmoid` or `exponential`.
        forget_bias: of a_f at the start.
        recurrent_init: how the four blocks of R start, see `study.models.initialisation`.
        gain: their scale at the start.
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
    ):
        super().__init__(features, hidden_size)
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

    def _units(self, inputs: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """a_i, the logarithm of w / (1 - w), z and o."""
        h, _, n = state
        a, forget, z, o = torch.addmm(inputs, h, self.R.T).chunk(4, -1)
        log_f = forget if self.forget_gate == "exponential" else functional.logsigmoid(forget)
        return a, log_f + n - a, z.tanh(), o.sigmoid()
