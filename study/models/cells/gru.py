"""Gated recurrent unit: h_t = (1 - z_t) n_t + z_t h_{t-1} (Cho et al. 2014, arXiv 1406.1078, in torch's variant)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.models.contract import Activations, State
from study.models.fused import Fused
from study.models.initialisation import Start, initialise_recurrent
from study.models.kernel import Loops, Tensors, of_matrix, run, steps, steps_back
from study.schema.model.base import Kernel


class GRU(nn.GRU, Loops, Fused):
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
        kernel: what runs a layer in updates, see `study.schema.model.base.KernelConfig`.
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
        kernel: Kernel = "auto",
    ):
        super().__init__(features, hidden_size, num_layers, dropout=dropout if num_layers > 1 else 0.0)
        self.kernel = kernel
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
        assert b_hh is not None
        outputs, (h,) = run(self, functional.linear(inputs, w_ih, b_ih), (state[0][0],), (w_hh, b_hh))
        return outputs, (h[None],)

    def forwards(self, inputs: Tensor, states: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; gates in the order r, z, n. Leaves W_h h + b_h, r beside z, and n."""
        (h,), (w, b), size = states, weights, self.hidden_size
        back, n = torch.empty_like(inputs), torch.empty_like(h[1:])
        gates, before, transposed = inputs.new_empty(*n.shape[:2], 2 * size), h[0], w.t()
        parts = (*_cut(inputs, 2 * size), back, *_cut(back, 2 * size), gates, *_cut(gates, size), n, h[1:])
        for x_rz, x_n, of_h, h_rz, h_n, rz, r, z, drawn, h_t in steps(*parts):
            torch.addmm(b, before, transposed, out=of_h)
            torch.add(x_rz, h_rz, out=rz).sigmoid_()
            torch.addcmul(x_n, r, h_n, out=drawn).tanh_()
            before = torch.lerp(drawn, before, z, out=h_t)
        return back, gates, n

    def backwards(self, slopes: Tensors, states: Tensors, saved: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; from dL/dh_t to what entered r, z and n, and through W_h and z to dL/dh_{t-1}."""
        (of_h,), (h,), (back, gates, n), (w, _) = slopes, states, saved, weights
        (r, z), (_, h_n) = gates.chunk(2, -1), _cut(back, gates.shape[-1])
        into_n = (1 - z) * (1 - n.square())
        d = torch.stack([into_n * h_n * r * (1 - r), (h[:-1] - n) * z * (1 - z), into_n * r], 2)
        flat = d.flatten(2)
        for of_now, of_before, into, product, kept in steps_back(of_h, d, flat, z):
            into.mul_(of_now[:, None])
            of_before.addcmul_(of_now, kept).addmm_(product, w)
        of_h[0] = of_h[1] * z[0] + flat[0] @ w  # summed in this order, as runs of older versions have it
        of_inputs = torch.cat([flat[..., : gates.shape[-1]], of_h[1:] * into_n], -1)
        return of_inputs, of_matrix(flat, h[:-1]), flat.sum((0, 1))

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


def _cut(tensor: Tensor, place: int) -> tuple[Tensor, Tensor]:
    """What lies before and after a place of the last dimension."""
    return tensor[..., :place], tensor[..., place:]
