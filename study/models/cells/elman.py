"""Elman's network: h_t = act(W_xh x_t + W_hh h_{t-1} + b) (Elman 1990, Finding structure in time)."""

from typing import Literal

import torch
from torch import Tensor, nn

from study.models.contract import Activations, State
from study.models.fused import Fused
from study.models.initialisation import Start, initialise_recurrent


class Elman(nn.RNN, Fused):
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
    ):
        between = dropout if num_layers > 1 else 0.0
        super().__init__(features, hidden_size, num_layers, nonlinearity=activation, dropout=between)
        self.bounded = activation == "tanh"
        initialise_recurrent(self, recurrent_init, gain)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        """See `Core`; the state is (h,)."""
        if self.residual:
            return self.layer_by_layer(inputs, state or self.initial_state(inputs))
        outputs, hidden = super().forward(inputs, None if state is None else state[0])
        return outputs, (hidden,)

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        """See `Core`."""
        cell = torch.rnn_tanh_cell if self.nonlinearity == "tanh" else torch.rnn_relu_cell
        return (cell(inputs, state[0], *self.weights(layer)),)

    def activations(self, layer: int, inputs: Tensor, state: State) -> Activations:
        """See `Core`."""
        hidden = {"hidden": self.step(layer, inputs, state)[0]}
        return Activations(tanh=hidden) if self.nonlinearity == "tanh" else Activations(relu=hidden)
