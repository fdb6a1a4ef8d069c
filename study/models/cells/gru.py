"""Gated recurrent unit: h_t = (1 - z_t) n_t + z_t h_{t-1} (Cho et al. 2014, arXiv 1406.1078, in torch's variant)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from study.models.contract import Activations, State
from study.models.fused import Fused
from study.models.initialisation import Start, initialise_recurrent
from study.schema.model.base import Kernel


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
        outputs = _GRUSteps.apply(functional.linear(inputs, w_ih, b_ih), w_hh, b_hh, state[0][0])
        return outputs, (outputs[-1:],)

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


class _GRUSteps(torch.autograd.Function):
    """All steps of a layer, whose gradient is written out.

    What dL/dh_t is multiplied with on its way into the gates is computed for all steps at once, and dL/dW_h is one
    product at the end.
    """

    @staticmethod
    def forward(
        ctx: Any,
        projected: Float[Tensor, "time batch three_hidden"],
        w: Float[Tensor, "three_hidden hidden"],
        b: Float[Tensor, " three_hidden"],
        start: Float[Tensor, "batch hidden"],
    ) -> Float[Tensor, "time batch hidden"]:
        """All h, of W_x x + b_x, W_h, b_h and the state before; gates in the order r, z, n."""
        size = start.shape[-1]
        states = torch.cat([start[None], projected.new_empty(*projected.shape[:2], size)])
        back = torch.empty_like(projected)  # W_h h + b_h
        gates, n = back.new_empty(*back.shape[:2], 2 * size), torch.empty_like(states[1:])
        parts = [*_cut(projected, 2 * size), back, *_cut(back, 2 * size), gates, *_cut(gates, size), n, states[1:]]
        h, transposed = states[0], w.t()
        # All views at once: each would cost as much as a small product.
        for x_rz, x_n, of_h, h_rz, h_n, rz, r, z, drawn, after in zip(*(part.unbind() for part in parts), strict=True):
            torch.addmm(b, h, transposed, out=of_h)
            torch.add(x_rz, h_rz, out=rz).sigmoid_()
            torch.addcmul(x_n, r, h_n, out=drawn).tanh_()
            h = torch.lerp(drawn, h, z, out=after)
        ctx.save_for_backward(states, back, gates, n, w)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """From dL/dh_t to the gradients of what entered r, z and n, and through W_h and z to dL/dh_{t-1}."""
        states, back, gates, n, w = ctx.saved_tensors
        (r, z), (_, h_n) = gates.chunk(2, -1), _cut(back, gates.shape[-1])
        into_n = (1 - z) * (1 - n.square())
        factors = torch.stack([into_n * h_n * r * (1 - r), (states[:-1] - n) * z * (1 - z), into_n * r], 2)
        d, of_h = torch.empty_like(factors), grad.clone()
        flat = d.view(*d.shape[:2], -1)
        parts = [part.unbind() for part in (of_h, factors, d, flat, z)]
        for t, (total, factor, into, product, kept) in reversed([*enumerate(zip(*parts, strict=True))]):
            torch.mul(factor, total[:, None], out=into)
            if t:
                parts[0][t - 1].addcmul_(total, kept).addmm_(product, w)
        of_w = flat.flatten(0, 1).t() @ states[:-1].flatten(0, 1)
        of_inputs = torch.cat([flat[..., : gates.shape[-1]], of_h * into_n], -1)
        return of_inputs, of_w, flat.sum((0, 1)), of_h[0] * z[0] + flat[0] @ w


def _cut(tensor: Tensor, place: int) -> tuple[Tensor, Tensor]:
    """What lies before and after a place of the last dimension."""
    return tensor[..., :place], tensor[..., place:]
