"""No clipping: gradients are used as they are."""

from collections.abc import Sequence

import torch
from torch import Tensor

from study.learning.clipping.contract import Clip, Clipped, norms


class NoClip(Clip):
    """Only measures the norms."""

    clips = False

    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        """See `Clip`."""
        before = norms(gradients)
        total = torch.linalg.vector_norm(before)
        return Clipped(before, total, total)
