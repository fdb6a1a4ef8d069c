"""Elman's network: h_t = act(W_xh x_t + W_hh h_{t-1} + b) (Elman 1990, Finding structure in time)."""

import torch
from torch import Tensor, nn

from study.models.contract import Activations, Core, State
from study.models.initialisation import initialise_recurrent
from study.schema import model as schema


class Elman(nn.RNN, Core):
    """torch's fused layer; its two biases a layer add up to b. Act is tanh or relu."""

    def __init__(self, config: schema.Elman, features: int):
        super().__init__(
            features,
            config.hidden_size,
            config.num_layers,
            nonlinearity=config.activation,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
        )
        self.bounded = config.activation == "tanh"
        initialise_recurrent(self, config)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        """See `Core`; the state is (h,)."""
        outputs, hidden = super().forward(inputs, None if state is None else state[0])
        return outputs, (hidden,)

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        """See `Core`."""
        cell = torch.rnn_tanh_cell if self.nonlinearity == "tanh" else torch.rnn_relu_cell
        return (cell(inputs, state[0], *self.all_weights[layer]),)

    def activations(self, layer: int, inputs: Tensor, state: State) -> Activations:
        """See `Core`."""
        hidden = {"hidden": self.step(layer, inputs, state)[0]}
        return Activations(tanh=hidden) if self.nonlinearity == "tanh" else Activations(relu=hidden)
