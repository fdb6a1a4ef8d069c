"""Clipping by value: every component by itself, so the direction turns (Mikolov 2012)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from study.learning.clipping.contract import Clip, Clipped, norms


class ClipValue(Clip):
    """g_j <- min(max(g_j, -threshold), threshold), component by component.

    Args:
        threshold: largest size of a component, above 0.
    """

    def __init__(self, threshold: float):
        self.threshold = threshold

    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        """See `Clip`. A component of inf becomes the threshold, one of NaN stays."""
        before = norms(gradients)
        torch._foreach_clamp_max_(gradients, self.threshold)
        torch._foreach_clamp_min_(gradients, -self.threshold)
        return Clipped(before, torch.linalg.vector_norm(before), torch.linalg.vector_norm(norms(gradients)))
