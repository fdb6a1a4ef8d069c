"""Multi-class cross-entropy, with label smoothing: l = -sum_c q_c log p_c, p = softmax of the logits.

q_c = (1 - smoothing) y_c + smoothing / C: the target is not quite sure (Szegedy et al. 2016, arXiv 1512.00567, section
7). It keeps logits from growing without end, and so gradients from vanishing on what is known already.
"""

from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F

from study.learning.losses.contract import OverTime, Scale, StepLoss


class CrossEntropy(StepLoss):
    """l = -sum_c q_c log p_c, p = softmax of the logits, q = (1 - smoothing) y + smoothing / C.

    Args:
        over_time: see `Loss`.
        scale: see `Loss`.
        smoothing: share of every target spread evenly over all C classes; 0: plain cross-entropy.
    """

    def __init__(self, over_time: OverTime = "mean", scale: Scale = "none", smoothing: float = 0.0):
        super().__init__(over_time, scale)
        self.smoothing = smoothing

    def per_step(self, outputs: Tensor, targets: Int[Tensor, "time batch"]) -> Tensor:
        """See `StepLoss`."""
        given, classes = outputs.flatten(0, 1), targets.flatten()
        flat = F.cross_entropy(given, classes, reduction="none", label_smoothing=self.smoothing)
        return flat.view(targets.shape)

    def outputs(self, size: int) -> int:
        """One logit a class."""
        return size

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The softmax."""
        return outputs.softmax(-1)
