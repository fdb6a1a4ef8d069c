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

from study.models.cells.lstm import LSTM
from study.models.contract import Activations, State
from study.models.initialisation import Start
from study.models.kernel import LoopedCell, Tensors, of_matrix, sigmoid_slope, steps, steps_back, tanh_slope
from study.schema.model.base import Kernel


class LSTMVariant(LoopedCell):
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
        kernel: what runs a layer in updates, see `study.schema.model.base.KernelConfig`.
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
        kernel: Kernel = "auto",
    ):
        super().__init__(features, hidden_size)
        self.kernel, self.layer_norm = kernel, layer_norm
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

    def train_unroll(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Cell`; the kernel has no layer normalisation."""
        return self.unroll(inputs, state) if self.layer_norm else super().train_unroll(inputs, state)

    def weights(self) -> Tensors:
        """See `LoopedCell`; U, and the peepholes."""
        return (self.U,) if self.seen is None or self.seen_after is None else (self.U, self.seen, self.seen_after)

    def forwards(self, inputs: Tensor, states: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; leaves the gates and the candidate."""
        (h, c), (U, *seen), size = states, weights, self.hidden_size
        (units, u), at, before = (torch.empty_like(rows) for rows in (inputs, inputs[0])), c[0], h[0]
        (i, f, g, o), gates, squashed, U = self._cut(u), u[:, : -2 * size], torch.empty_like(at), U.t().contiguous()
        for entering, units_t, h_t, c_t in steps(inputs, units, h[1:], c[1:]):
            torch.addmm(entering, before, U, out=u)
            if seen:
                gates.add_((seen[0].view(-1, size) * at[:, None]).flatten(1))
            gates.sigmoid_()
            g.tanh_()
            at = torch.lerp(g, at, f, out=c_t) if self.coupled else torch.mul(i, g, out=c_t).addcmul_(f, at)
            (o.addcmul_(seen[1], at) if seen else o).sigmoid_()
            before = torch.mul(o, torch.tanh(at, out=squashed), out=h_t)
            units_t.copy_(u)
        return (units,)

    def backwards(self, slopes: Tensors, states: Tensors, saved: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`."""
        (of_h, of_c), (h, c), (units,), (U, *seen), size = slopes, states, saved, weights, self.hidden_size
        i, f, g, o = self._cut(units)
        d, squashed = torch.empty_like(units), c[1:].tanh()
        d_i, d_f, d_g, d_o = self._cut(d)
        sigmoid_slope(g, i, d_i)  # coupled: it is that of f, set next
        sigmoid_slope(c[:-1] - g if self.coupled else c[:-1], f, d_f)
        tanh_slope(1 - f if self.coupled else i, g, d_g)
        sigmoid_slope(squashed, o, d_o)
        into_c, of_every = tanh_slope(o, squashed), of_c[:, None]
        for of_now, of_before, into, d_t, d_c, d_out, kept in steps_back(
            of_h, into_c, d, d[..., :-size].unflatten(-1, (-1, size)), d_o, f
        ):
            of_c.addcmul_(of_now, into)
            d_out.mul_(of_now)
            if seen:
                of_c.addcmul_(d_out, seen[1])
            d_c.mul_(of_every)
            of_c.mul_(kept)
            if seen:
                of_c.add_((d_c[:, :-1] * seen[0].view(-1, size)).sum(1))
            of_before.addmm_(d_t, U)
        of_U = of_matrix(d, h[:-1])
        if not seen:
            return d, of_U
        of_seen = (d[..., : -2 * size].unflatten(-1, (-1, size)) * c[:-1, :, None]).sum((0, 1))
        return d, of_U, of_seen.flatten(), (d_o * c[1:]).sum((0, 1))

    def _cut(self, rows: Tensor) -> Tensors:
        """Those of i, f, g and o; coupled: of f twice."""
        parts = rows.chunk(4 - self.coupled, -1)
        return parts[0], *parts[-3:]

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
