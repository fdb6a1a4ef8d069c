"""Clipping by the global norm: the direction stays (Pascanu, Mikolov & Bengio 2013, algorithm 1)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from study.learning.clipping.contract import Clip, Clipped, norms


class ClipNorm(Clip):
    """g <- g min(1, threshold / ||g||), over all parameters together.

    A gradient within the threshold is multiplied by exactly 1, which changes no bit of it. (torch's own
    `clip_grad_norm_` adds 1e-6 to the norm.)

    Args:
        threshold: largest norm, above 0.
    """

    def __init__(self, threshold: float):
        self.threshold = threshold

    @property
    def norm_limit(self) -> float:
        """The threshold."""
        return self.threshold

    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        """See `Clip`. Of a norm of inf, finite components become 0 and the others NaN; of NaN, all become NaN."""
        before = norms(gradients)
        total = torch.linalg.vector_norm(before)
        scale = (self.threshold / total).clamp(max=1.0)
        torch._foreach_mul_(gradients, scale.to(gradients[0].dtype))
        return Clipped(before, total, total * scale)
