"""Gated recurrent unit: h_t = (1 - z_t) n_t + z_t h_{t-1} (Cho et al. 2014, arXiv 1406.1078, in torch's variant)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.models.contract import Activations, State
from study.models.fused import Fused
from study.models.initialisation import Start, initialise_recurrent


class GRU(nn.GRU, Fused):
    """torch's fused layer: the reset gate acts on W_hn h + b_hn.

        core = GRU(features=8, hidden_size=64)
        outputs, (h,) = core(torch.randn(100, 32, 8))  # (100, 32, 64), (1, 32, 64)

    Args:
        features: of an input step.
        hidden_size: units a layer.
        num_layers: stacked layers.
        dropout: share of a layer's outputs set to zero, in training, before the layer above reads them.
        recurrent_init: how the three blocks of W_hh start, see `study.models.initialisation`.
        gain: scale of W_hh at the start.
    """

    bounded = True
    state_parts = ("h",)
    memory = "h"
    stacked = ("reset", "update", "candidate")

    def __init__(
        self,
        features: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        dropout: float = 0.0,
        recurrent_init: Start = "orthogonal",
        gain: float = 1.0,
    ):
        super().__init__(features, hidden_size, num_layers, dropout=dropout if num_layers > 1 else 0.0)
        initialise_recurrent(self, recurrent_init, gain)

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        """See `Core`; the state is (h,)."""
        if self.residual:
            return self.layer_by_layer(inputs, state or self.initial_state(inputs))
        outputs, hidden = super().forward(inputs, None if state is None else state[0])
        return outputs, (hidden,)

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        """See `Core`."""
        return (torch.gru_cell(inputs, state[0], *self.weights(layer)),)

    def activations(self, layer: int, inputs: Tensor, state: State) -> Activations:
        """See `Core`; z is the update gate, n the candidate."""
        w_ih, w_hh, b_ih, b_hh = self.weights(layer)
        xr, xz, xn = functional.linear(inputs, w_ih, b_ih).chunk(3, -1)
        hr, hz, hn = functional.linear(state[0], w_hh, b_hh).chunk(3, -1)
        r, z = (xr + hr).sigmoid(), (xz + hz).sigmoid()
        return Activations(
            gates={"reset": r, "update": z}, tanh={"candidate": (xn + r * hn).tanh()}, retention_gate="update"
        )
