"""LSTM with options: layer normalisation, peepholes, coupled gates; without them it is `lstm`, step by step.

    i, f, o = sigmoid(a_i + p_i c_{t-1}), sigmoid(a_f + p_f c_{t-1}), sigmoid(a_o + p_o c_t),   g = tanh(a_g)
    c_t = f c_{t-1} + i g,   h_t = o tanh(N_c(c_t)),   a = N_x(W x_t) + N_h(U h_{t-1}) + b

peepholes      p, one weight a unit and gate (Gers & Schmidhuber 2000, Recurrent nets that time and count); else 0
layer norm     N, over all units, with a learnt gain (Ba, Kiros & Hinton 2016, arXiv 1607.06450, eq. 20-22; that of h
               and that of x need no bias beside b); else nothing
coupled gates  i = 1 - f, so that c stays within -1 and 1 (CIFG of Greff et al. 2017, arXiv 1503.04069)
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.models.cell import Cell
from study.models.cells.lstm import LSTM
from study.models.contract import Activations, State
from study.models.initialisation import Start


class LSTMVariant(Cell):
    """Gates in the order input (not if coupled), forget, cell, output; at one seed W, U and b start as `LSTM`'s do.

    Args:
        features: of an input step.
        hidden_size: units, at least 2 with `layer_norm`.
        layer_norm: normalise what comes from below, what comes from the past, and c on its way to h.
        peephole: gates see the cell; the output gate sees the new one.
        coupled: what is forgotten is replaced, i = 1 - f.
        forget_bias: see `LSTM`.
        chrono: see `LSTM`; coupled gates are the input gate's start already.
        recurrent_init: how the blocks of U start, see `study.models.initialisation`.
        gain: their scale at the start; under `layer_norm` it changes no output.
    """

    bounded = True
    state_parts = ("h", "c")
    memory = "c"

    def __init__(
        self,
        features: int,
        hidden_size: int,
        layer_norm: bool = False,
        peephole: bool = False,
        coupled: bool = False,
        forget_bias: float | None = 1.0,
        chrono: int | None = None,
        recurrent_init: Start = "orthogonal",
        gain: float = 1.0,
    ):
        super().__init__(features, hidden_size)
        start = LSTM(
            features, hidden_size, forget_bias=forget_bias, chrono=chrono, recurrent_init=recurrent_init, gain=gain
        )
        w, u, b, d = (part[hidden_size * coupled :].detach().clone() for part in start.all_weights[0])
        self.W, self.U, self.b = nn.Parameter(w), nn.Parameter(u), nn.Parameter(b + d)
        self.coupled, self.recurrent, self.stacked = coupled, ("U",), LSTM.stacked[coupled:]
        self.norm_x, self.norm_h = (nn.LayerNorm(len(b), bias=False) if layer_norm else nn.Identity() for _ in range(2))
        self.norm_c = nn.LayerNorm(hidden_size) if layer_norm else nn.Identity()
        if layer_norm:
            self.recurrent = (*self.recurrent, "norm_h.weight")
        self.seen = self.seen_after = None
        if peephole:
            bound = 1 / math.sqrt(hidden_size)
            self.seen = nn.Parameter(torch.empty((2 - coupled) * hidden_size).uniform_(-bound, bound))
            self.seen_after = nn.Parameter(torch.empty(hidden_size).uniform_(-bound, bound))
            self.recurrent = (*self.recurrent, "seen")

    def project(self, inputs: Tensor) -> Tensor:
        """See `Cell`; N_x(W x) + b of all gates."""
        return self.norm_x(functional.linear(inputs, self.W)) + self.b

    def step(self, inputs: Tensor, state: State) -> State:
        """See `Cell`."""
        i, f, g, a = self._units(inputs, state)
        c = f * state[1] + i * g
        return self._output(a, c) * self.norm_c(c).tanh(), c

    def activations(self, inputs: Tensor, state: State) -> Activations:
        """See `Cell`; the cell is what of c the output gate sees."""
        i, f, g, a = self._units(inputs, state)
        c = f * state[1] + i * g
        gates = {"input": i, "forget": f, "output": self._output(a, c)}
        return Activations(gates, {"candidate": g, "cell": self.norm_c(c).tanh()}, retention_gate="forget")

    def _units(self, inputs: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """i, f, g and a_o."""
        sums = inputs + self.norm_h(functional.linear(state[0], self.U))
        *gates, candidate, output = sums.chunk(4 - self.coupled, -1)
        if self.seen is not None:
            gates = [a + p * state[1] for a, p in zip(gates, self.seen.chunk(len(gates)), strict=True)]
        f = gates[-1].sigmoid()
        i = 1 - f if self.coupled else gates[0].sigmoid()
        return i, f, candidate.tanh(), output

    def _output(self, a: Tensor, c: Tensor) -> Tensor:
        """The output gate, beside the new cell."""
        return (a if self.seen_after is None else a + self.seen_after * c).sigmoid()
