"""Elman's network: h_t = act(W_xh x_t + W_hh h_{t-1} + b) (Elman 1990, Finding structure in time)."""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from study.models.contract import Activations, State
from study.models.fused import Fused
from study.models.initialisation import Start, initialise_recurrent
from study.schema.model.base import Kernel


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
        outputs = _ElmanSteps.apply(projected, w_hh, state[0][0], self.nonlinearity == "tanh")
        return outputs, (outputs[-1:],)

    def step(self, layer: int, inputs: Tensor, state: State) -> State:
        """See `Core`."""
        cell = torch.rnn_tanh_cell if self.nonlinearity == "tanh" else torch.rnn_relu_cell
        return (cell(inputs, state[0], *self.weights(layer)),)

    def activations(self, layer: int, inputs: Tensor, state: State) -> Activations:
        """See `Core`."""
        hidden = {"hidden": self.step(layer, inputs, state)[0]}
        return Activations(tanh=hidden) if self.nonlinearity == "tanh" else Activations(relu=hidden)


class _ElmanSteps(torch.autograd.Function):
    """All steps of a layer, whose gradient is written out: act' is one of h, and dL/dW_hh one product at the end."""

    @staticmethod
    def forward(
        ctx: Any,
        projected: Float[Tensor, "time batch hidden"],
        w: Float[Tensor, "hidden hidden"],
        start: Float[Tensor, "batch hidden"],
        tanh: bool,
    ) -> Float[Tensor, "time batch hidden"]:
        """All h, of W_xh x + b, W_hh and the state before."""
        states = torch.cat([start[None], torch.empty_like(projected)])
        act, transposed = torch.tanh_ if tanh else torch.relu_, w.t()
        h, *following = states.unbind()  # all views at once: each would cost as much as a small product
        for entering, after in zip(projected.unbind(), following, strict=True):
            act(torch.addmm(entering, h, transposed, out=after))
            h = after
        ctx.save_for_backward(states, w)
        ctx.tanh = tanh
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """d_t = (dL/dh_t + d_{t+1} W_hh) act'(.), the gradient of what entered step t."""
        states, w = ctx.saved_tensors
        slopes = states[1:].square().neg_().add_(1) if ctx.tanh else (states[1:] > 0).to(grad.dtype)
        d = torch.empty_like(slopes)
        later = None
        for of_h, slope, now in zip(*(reversed(x.unbind()) for x in (grad, slopes, d)), strict=True):
            if later is None:
                torch.mul(of_h, slope, out=now)
            else:
                torch.addmm(of_h, later, w, out=now).mul_(slope)
            later = now
        of_w = d.flatten(0, 1).t() @ states[:-1].flatten(0, 1)
        return d, of_w, d[0] @ w, None
