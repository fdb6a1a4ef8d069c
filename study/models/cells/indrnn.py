"""Independently recurrent network: h_t = act(W x_t + u h_{t-1} + b), u a vector (Li et al. 2018, arXiv 1803.04831).

Every unit hears of the past its own value alone, so what becomes of its gradient over k steps is u^k times the slopes
passed; units meet in the layer above, which is why the paper stacks two and more.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from study.models.contract import Activations, State
from study.models.kernel import LoopedCell, Tensors, steps, steps_back, tanh_slope
from study.schema.model.base import Kernel


class IndRNN(LoopedCell):
    """One recurrent weight a unit.

    The paper clips |u| to 2^(1/T) after every update, so that a relu network over T steps cannot explode. Here it is
    left to itself, and an explosion shows; start with a `gain` of at most that.

    Args:
        features: of an input step.
        hidden_size: units.
        activation: act, `tanh` or `relu`.
        gain: u starts uniform in 0 to gain (section 3.1 of the paper: relu, gain 1 or 2^(1/T)).
        kernel: what runs a layer in updates, see `study.schema.model.base.KernelConfig`.
    """

    recurrent = ("u",)

    def __init__(
        self,
        features: int,
        hidden_size: int,
        activation: Literal["tanh", "relu"] = "relu",
        gain: float = 1.0,
        kernel: Kernel = "auto",
    ):
        super().__init__(features, hidden_size)
        self.kernel = kernel
        self.W = nn.Linear(features, hidden_size)
        self.u = nn.Parameter(torch.empty(hidden_size).uniform_(0, gain))
        self.activation, self.bounded = activation, activation == "tanh"

    def project(self, inputs: Tensor) -> Tensor:
        """See `Cell`; W x + b."""
        return self.W(inputs)

    def step(self, inputs: Tensor, state: State) -> State:
        """See `Cell`."""
        total = inputs + self.u * state[0]
        return (total.tanh() if self.activation == "tanh" else total.relu(),)

    def forwards(self, inputs: Tensor, states: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`; act' is one of h, so nothing else is kept."""
        (h,), (u,), act = states, weights, torch.tanh_ if self.bounded else torch.relu_
        before = h[0]
        for entering, h_t in steps(inputs, h[1:]):
            before = act(torch.addcmul(entering, u, before, out=h_t))
        return ()

    def backwards(self, slopes: Tensors, states: Tensors, saved: Tensors, weights: Tensors) -> Tensors:
        """See `Loops`."""
        (of_h,), (h,), (u,) = slopes, states, weights
        d = tanh_slope(torch.ones_like(of_h[1:]), h[1:]) if self.bounded else (h[1:] > 0).to(of_h.dtype)
        for of_now, of_before, d_t in steps_back(of_h, d):
            of_before.addcmul_(d_t.mul_(of_now), u)
        return d, (d * h[:-1]).sum((0, 1))

    def activations(self, inputs: Tensor, state: State) -> Activations:
        """See `Cell`."""
        hidden = {"hidden": self.step(inputs, state)[0]}
        return Activations(tanh=hidden) if self.activation == "tanh" else Activations(relu=hidden)

    def blocks(self) -> Iterator[Tensor]:
        """See `Cell`; diag(u)."""
        yield self.u.diag()
