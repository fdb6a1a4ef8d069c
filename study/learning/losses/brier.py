"""Brier's score: the squared error of the probabilities of all classes (Brier 1950, Monthly Weather Review 78).

    l = sum_c (p_c - y_c)^2,    p = softmax of the logits, y one-hot

Never above 2, and its gradient is small wherever p is near 0 or 1, wrong or right.
"""

from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F

from study.learning.losses.contract import StepLoss


class Brier(StepLoss):
    """l = sum_c (p_c - y_c)^2, p = softmax of the logits."""

    def per_step(self, outputs: Tensor, targets: Int[Tensor, "time batch"]) -> Tensor:
        """See `StepLoss`."""
        one_hot = F.one_hot(targets, outputs.shape[-1]).to(outputs.dtype)
        return (outputs.softmax(-1) - one_hot).square().sum(-1)

    def outputs(self, size: int) -> int:
        """One logit a class."""
        return size

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The softmax."""
        return outputs.softmax(-1)
