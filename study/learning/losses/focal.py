"""Focal loss: cross-entropy in which classes known already count little (Lin et al. 2017, arXiv 1708.02002, eq. 4).

    l = -(1 - p_y)^gamma log p_y,    p = softmax of the logits, y the true class

At gamma = 2 a class known with p = .9 counts a hundredth of what it does in cross-entropy.
"""

import torch
from jaxtyping import Int
from torch import Tensor

from study.learning.losses.contract import OverTime, Scale, StepLoss


class Focal(StepLoss):
    """l = -(1 - p_y)^gamma log p_y; the source's weights of classes (alpha) are left out.

    Args:
        over_time: see `Loss`.
        scale: see `Loss`.
        gamma: 0: cross-entropy; the larger, the less what is known counts.
    """

    def __init__(self, over_time: OverTime = "mean", scale: Scale = "none", gamma: float = 2.0):
        super().__init__(over_time, scale)
        self.gamma = gamma

    def per_step(self, outputs: Tensor, targets: Int[Tensor, "time batch"]) -> Tensor:
        """See `StepLoss`."""
        true = targets[..., None]
        whole = outputs.logsumexp(-1)
        chosen = outputs.gather(-1, true)[..., 0] - whole
        # log(1 - p_y) from the other logits: the power of a difference that rounds to 0 would have no slope.
        missed = outputs.scatter(-1, true, -torch.inf).logsumexp(-1) - whole
        return -(self.gamma * missed).exp() * chosen

    def outputs(self, size: int) -> int:
        """One logit a class."""
        return size

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The softmax; less sure than that of cross-entropy, for the loss is not a proper score."""
        return outputs.softmax(-1)
