"""QLIKE: the loss of volatility forecasts that noise in the volatility measured does not turn (Patton 2011).

    l = mean_j [sigma^2 / h - log(sigma^2 / h) - 1]

sigma^2 being the variance that came, h the one predicted: zero where they are equal, and the same for every unit. Of
all losses that are minimised by the true conditional variance although only a noisy proxy of it is seen, it depends on
the ratio alone (Patton 2011, Journal of Econometrics 160: his family of robust losses, b = -2). A forecast that is too
low costs more than one too high, and the best one is the mean of variances: above the mean of their logarithms.

Targets are log-volatilities, y = (log sigma - m) / u, standardised; so log(sigma^2 / h) = d = 2 u (y - yhat), where m
drops out, and l = exp(d) - d - 1. Beyond d = 20 exp goes on as its tangent.
"""

from torch import Tensor

from study.learning.losses.contract import StepLoss, over_steps
from study.learning.losses.exponential import exponential


class QLIKE(StepLoss):
    """l = mean_j exp(d_j) - d_j - 1 over the values j of a step, d = 2 u (y - yhat), u the unit of the target."""

    def per_step(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `StepLoss`."""
        units = 1.0 if self.units is None else self.units.to(outputs)
        log_ratio = 2 * units * (targets - outputs)
        return (exponential(log_ratio) - log_ratio - 1).mean(-1)

    def outputs(self, size: int) -> int:
        """One a value: the log-volatility."""
        return size

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The outputs are the predictions."""
        return outputs

    def measures(self, outputs: Tensor, targets: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        """`qlike`."""
        return {"qlike": over_steps(self.per_step(outputs, targets), mask)}
