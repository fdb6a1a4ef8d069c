"""Long short-term memory: c_t = f_t c_{t-1} + i_t g_t, h_t = o_t tanh c_t (Hochreiter & Schmidhuber 1997).

The forget gate f is of Gers et al. 2000; starting it open (`forget_bias`) lets the gradient through from the first
update on (Jozefowicz et al. 2015). How long a unit keeps c follows from it, so `chrono` spreads the units' biases over
the lags there are (Tallec & Ollivier 2018, arXiv 1804.11188).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.models.contract import Activations, State
from study.models.fused import Fused
from study.models.initialisation import Start, chrono_biases, initialise_recurrent


class LSTM(nn.LSTM, Fused):
    """torch's fused layer, gates in the order input, forget, cell, output.

        core = LSTM(features=8, hidden_size=64)
        outputs, (h, c) = core(torch.randn(100, 32, 8))  # (100, 32, 64), (1, 32, 64), (1, 32, 64)

    Args:
        features: of an input step.
        hidden_size: units a layer.
        num_layers: stacked layers.
        forget_bias: of the forget gate at the start; 1 lets most of c through. None: `chrono` draws it.
        chrono: the longest lag in steps, 3 or more: forget biases ~ log U(1, chrono - 1), and those of the input gate
            their negatives. None: `forget_bias` holds for all units.
        dropout: share of a layer's outputs set to zero, in training, before the layer above reads them.
        recurrent_init: how the four blocks of W_hh start, see `study.models.initialisation`.
        gain: scale of W_hh at the start.

    Raises:
        ValueError: neither or both of `forget_bias` and `chrono` say how the forget gate starts.
    """

    bounded = True
    state_parts = ("h", "c")
    memory = "c"
    stacked = ("input", "forget", "candidate", "output")

    def __init__(
        self,
        features: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        forget_bias: float | None = 1.0,
        chrono: int | None = None,
        dropout: float = 0.0,
        recurrent_init: Start = "orthogonal",
        gain: float = 1.0,
    ):
        super().__init__(features, hidden_size, num_layers, dropout=dropout if num_layers > 1 else 0.0)
        initialise_recurrent(self, recurrent_init, gain)
        if (forget_bias is None) == (chrono is None):
            raise ValueError(f"forget_bias = {forget_bias}, chrono = {chrono}: exactly one of them must be None")
        for layer in range(num_layers):
            if forget_bias is not None:
                self._set_bias(layer, 1, forget_bias)
            elif chrono is not None:
                drawn = chrono_biases(hidden_size, chrono)
                self._set_bias(layer, 0, -drawn)
                self._set_bias(layer, 1, drawn)

    @torch.no_grad()
    def _set_bias(self, layer: int, gate: int, bias: Tensor | float) -> None:
        """Set the bias of a gate, the sum of torch's two, to `bias`."""
        units = slice(gate * self.hidden_size, (gate + 1) * self.hidden_size)
        getattr(self, f"bias_ih_l{layer}")[units] = bias
        getattr(self, f"bias_hh_l{layer}")[units] = 0.0

    def forward(self, inputs: Tensor, state: State | None = None) -> tuple[Tensor, State]:  # type: ignore[override]
        """See `Core`; the state is (h, c)."""
        if self.residual:
            return self.layer_by_layer(inputs, state or self.initial_state(inputs))
        return super().forward(inputs, state)  # type: ignore[arg-type]

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        """See `Core`; written out where torch's cell is one kernel: c has to be on the way to h."""
        if inputs.device.type == "cpu":
            return torch.lstm_cell(inputs, state, *self.weights(layer))
        i, f, g, o = self._gates(layer, inputs, state)
        c = f * state[1] + i * g
        return o * c.tanh(), c

    def activations(self, layer: int, inputs: Tensor, state: State) -> Activations:
        """See `Core`; the cell is tanh c, what of c the output gate sees."""
        i, f, g, o = self._gates(layer, inputs, state)
        tanh = {"candidate": g, "cell": (f * state[1] + i * g).tanh()}
        return Activations(gates={"input": i, "forget": f, "output": o}, tanh=tanh, retention_gate="forget")

    def _gates(self, layer: int, inputs: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The input and forget gates i and f, the candidate g, the output gate o."""
        w_ih, w_hh, b_ih, b_hh = self.weights(layer)
        i, f, g, o = (functional.linear(inputs, w_ih, b_ih) + functional.linear(state[0], w_hh, b_hh)).chunk(4, -1)
        return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
