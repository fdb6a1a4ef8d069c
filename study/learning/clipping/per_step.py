"""Clipping at every step of the backward pass: what flows back through a state is cut before it flows on.

Graves (2013, arXiv 1308.0850, section 2.1) clips "the derivative of the loss with respect to the network inputs to the
LSTM layers", so that it cannot grow on its way back through time, component by component, to [-10, 10] or [-1, 1].
All other policies see the gradient only when it has come back through all steps and is summed over them.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from study.columns import SHARE
from study.learning.clipping.contract import Clip, Clipped, norms, within
from study.models import State
from study.models.unrolled import Watch


class ClipPerStep(Clip):
    r"""delta_t <- delta_t min(1, threshold / ||delta_t||), delta_t = dL / dx_t, then delta_{t-1} = J_t^T delta_t + ...

    x_t is the state of a layer after step t, all its parts together ((h, c) of an LSTM), and delta_t all that flows
    back into it, from the steps after it and from the layer above. Every sequence is clipped by itself, by the 2-norm.

    Departures from Graves, who clips LSTMs only, before their gates' sigmoids: the state is what every core has; and
    the norm keeps the direction. L is the loss that is minimised, a mean over the batch (and over time, unless
    `loss.over_time=sum`), so the threshold is on that scale: the probe `backpropagated` shows the norms.

    The gradient that would have been without it never exists: `total` and `applied` are both the norm of what comes
    out. Recorded: the share of the states through which a gradient flowed whose gradient was clipped.

    Args:
        threshold: largest norm of dL / dx_t of one sequence, above 0.
    """

    records = (SHARE,)

    def __init__(self, threshold: float = 0.001):
        self.threshold = threshold
        self._counts: Tensor | None = None  # in this update: states where it was clipped, and that a gradient reached

    @property
    def watch(self) -> Watch:
        """See `Clip`; the states stay what they are."""
        return self._pass

    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        """See `Clip`; what was to be done has been done on the way."""
        before = norms(gradients)
        total = torch.linalg.vector_norm(before)
        cut, met = total.new_zeros(2) if self._counts is None else self._counts.double()
        self._counts = None
        return Clipped(before, total, total, {SHARE: cut / met.clamp(min=1)})

    def limit(self, gradient: Sequence[Tensor]) -> list[Tensor]:
        """The gradient in one state, all its parts, of every sequence within the threshold."""
        norm = torch.linalg.vector_norm(torch.cat([*gradient], -1), dim=-1, keepdim=True, dtype=torch.float64)
        scale = within(norm, self.threshold)
        counts = torch.stack([(scale < 1).sum(), (norm > 0).sum()])
        self._counts = counts if self._counts is None else self._counts + counts
        return [part * scale.to(part.dtype) for part in gradient]

    def _pass(self, layer: int, state: State) -> State:
        passed: State = _Cut.apply(self, *state)
        return passed


class _Cut(torch.autograd.Function):
    """The identity, whose gradient a policy limits: of all parts of a state at once, which hooks on each cannot."""

    @staticmethod
    def forward(ctx: Any, policy: ClipPerStep, *state: Tensor) -> State:
        ctx.policy = policy
        return tuple(part.view_as(part) for part in state)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *ctx.policy.limit(gradient))
