"""Elman's network: h_t = act(W_xh x_t + W_hh h_{t-1} + b) (Elman 1990, Finding structure in time)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.models.contract import Activations, State
from study.models.fused import Fused
from study.models.initialisation import Start, initialise_recurrent
from study.models.kernel import Loops, Tensors, of_matrix, run, steps, steps_back
from study.schema.model.base import Kernel


class ElmanLoops(Loops):
    """Those of h_t = act(entering + W h_{t-1}): tanh where h is `bounded`, else relu."""

    bounded: bool

    def forwards(self, inputs: Tensor, states: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; act' is one of h, so nothing else is kept."""
        (h,), w, act = states, weights[0].t(), torch.tanh_ if self.bounded else torch.relu_
        before = h[0]
        for entering, h_t in steps(inputs, h[1:]):
            before = act(torch.addmm(entering, before, w, out=h_t))
        return ()

    def backwards(self, slopes: Tensors, states: Tensors, saved: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; d_t = (dL/dh_t + d_{t+1} W) act'(.)."""
        (of_h,), (h,), (w,) = slopes, states, weights
        d = h[1:].square().neg_().add_(1) if self.bounded else (h[1:] > 0).to(of_h.dtype)
        for of_now, of_before, d_t in steps_back(of_h, d):
            of_before.addmm_(d_t.mul_(of_now), w)
        return d, of_matrix(d, h[:-1])


class Elman(nn.RNN, ElmanLoops, Fused):
    """torch's fused layer; its two biases a layer add up to b.

        core = Elman(features=8, hidden_size=64)
        outputs, (h,) = core(torch.randn(100, 32, 8))  # (100, 32, 64), (1, 32, 64)

    Args:
        features: of an input step.
        hidden_size: units a layer.
        num_layers: stacked layers.
        activation: act, `tanh` or `relu`.
        dropout: share of a layer's outputs set to zero, in training, before the layer above reads them.
        recurrent_init: how W_hh starts, see `study.models.initialisation`.
        gain: scale of W_hh at the start.
        kernel: what runs a layer in updates, see `study.schema.model.base.KernelConfig`.
    """

    state_parts = ("h",)
    memory = "h"

    def __init__(
        self,
        features: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        activation: Literal["tanh", "relu"] = "tanh",
        dropout: float = 0.0,
        recurrent_init: Start = "orthogonal",
        gain: float = 1.0,
        kernel: Kernel = "auto",
    ):
        between = dropout if num_layers > 1 else 0.0
        super().__init__(features, hidden_size, num_layers, nonlinearity=activation, dropout=between)
        self.bounded, self.kernel = activation == "tanh", kernel
        initialise_recurrent(self, recurrent_init, gain)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        """See `Core`; the state is (h,)."""
        if self.residual:
            return self.layer_by_layer(inputs, state or self.initial_state(inputs))
        outputs, hidden = super().forward(inputs, None if state is None else state[0])
        return outputs, (hidden,)

    def run_layer(self, layer: int, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Fused`."""
        w_ih, w_hh, b_ih, b_hh = self.weights(layer)
        assert b_ih is not None
        assert b_hh is not None
        projected = functional.linear(inputs, w_ih, b_ih + b_hh)
        outputs, (h,) = run(self, projected, (state[0][0],), (w_hh,))
        return outputs, (h[None],)

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        """See `Core`."""
        cell = torch.rnn_tanh_cell if self.nonlinearity == "tanh" else torch.rnn_relu_cell
        return (cell(inputs, state[0], *self.weights(layer)),)

    def activations(self, layer: int, inputs: Tensor, state: State) -> Activations:
        """See `Core`."""
        hidden = {"hidden": self.step(layer, inputs, state)[0]}
        return Activations(tanh=hidden) if self.nonlinearity == "tanh" else Activations(relu=hidden)
