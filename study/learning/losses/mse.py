"""Mean squared error: l = mean_j (y_j - yhat_j)^2."""

from torch import Tensor

from study.learning.losses.contract import StepLoss


class MSE(StepLoss):
    """l = mean_j (y_j - yhat_j)^2 over the values j of a step."""

    def per_step(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `StepLoss`."""
        return (outputs - targets).square().mean(-1)

    def outputs(self, size: int) -> int:
        """One a value."""
        return size

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The outputs are the predictions."""
        return outputs
