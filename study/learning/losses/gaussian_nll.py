"""Gaussian negative log-likelihood: a mean and a variance for every value (Nix & Weigend 1994, ICNN).

    l = mean_j 1/2 [s_j + (y_j - mu_j)^2 exp(-s_j) + log 2 pi],    s = log sigma^2

in nats a value. Errors count by the variance the network itself gives them: where it is sure, much; so the gradient in
mu grows as 1 / sigma^2. Below s = -20, a standard deviation of 5e-5, exp(-s) goes on as its tangent.
"""

import math

from torch import Tensor

from study.learning.losses.contract import StepLoss, over_steps
from study.learning.losses.exponential import exponential

WITHIN = 1.959963984540054
"""Standard deviations on both sides of the mean that hold 95% of a normal distribution."""


class GaussianNLL(StepLoss):
    """l = mean_j 1/2 [s_j + (y_j - mu_j)^2 exp(-s_j) + log 2 pi] over the values j of a step."""

    def per_step(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `StepLoss`."""
        mean, log_variance = outputs.chunk(2, -1)
        squares = (targets - mean).square() * exponential(-log_variance)
        return 0.5 * (log_variance + squares + math.log(2 * math.pi)).mean(-1)

    def outputs(self, size: int) -> int:
        """The means of all values, then their log-variances."""
        return 2 * size

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The means."""
        return outputs.chunk(2, -1)[0]

    def measures(self, outputs: Tensor, targets: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        """`nats` a value, of targets as the network sees them; `coverage`: the share of values in the 95% interval."""
        mean, log_variance = outputs.chunk(2, -1)
        inside = (targets - mean).abs() <= WITHIN * (0.5 * log_variance).exp()
        surprise = self.per_step(outputs, targets)
        return {
            "nats": over_steps(surprise, mask),
            "coverage": over_steps(inside.to(outputs.dtype).mean(-1), mask),
        }
