"""Mean absolute error: l = mean_j |y_j - yhat_j|; the best constant prediction is the median, not the mean."""

from torch import Tensor
from torch.nn import functional as F

from study.learning.losses.contract import StepLoss


class MAE(StepLoss):
    """l = mean_j |y_j - yhat_j| over the values j of a step; its slope in a prediction is the sign of the error."""

    def per_step(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `StepLoss`."""
        return F.l1_loss(outputs, targets, reduction="none").mean(-1)

    def outputs(self, size: int) -> int:
        """One a value."""
        return size

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The outputs are the predictions, medians."""
        return outputs
