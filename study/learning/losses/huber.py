"""Huber's loss: squares of small errors, sizes of large ones (Huber 1964, Annals of Mathematical Statistics 35).

    l = mean_j rho(y_j - yhat_j),    rho(e) = e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2)

No error adds more than delta to the gradient in its prediction.
"""

from torch import Tensor
from torch.nn import functional as F

from study.learning.losses.contract import OverTime, Scale, StepLoss


class Huber(StepLoss):
    """l = mean_j rho(y_j - yhat_j) over the values j of a step, see above.

    Args:
        over_time: see `Loss`.
        scale: see `Loss`.
        delta: the size of an error where the square ends, in the unit of the targets as the network sees them
            (standard deviations, where a task standardises them); above 0.
    """

    def __init__(self, over_time: OverTime = "mean", scale: Scale = "none", delta: float = 1.0):
        super().__init__(over_time, scale)
        self.delta = delta

    def per_step(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `StepLoss`."""
        return F.huber_loss(outputs, targets, reduction="none", delta=self.delta).mean(-1)

    def outputs(self, size: int) -> int:
        """One a value."""
        return size

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The outputs are the predictions."""
        return outputs
