"""Pinball loss: several quantiles of every value at once (Koenker & Bassett 1978, Econometrica 46).

    l = mean_j mean_q max(q e, (q - 1) e),    e = y_j - yhat_{j,q},    q the levels

An output below the value costs q times the distance, one above it 1 - q times; so the best constant output is the
q-quantile. Nothing keeps quantiles of one step in order: where they cross, no value lies between them.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from study.learning.losses.contract import OverTime, Scale, StepLoss, over_steps


class Pinball(StepLoss):
    """l = mean over values j and levels q of max(q e, (q - 1) e), e = y_j - yhat_{j,q}.

    Args:
        over_time: see `Loss`.
        scale: see `Loss`.
        levels: of the quantiles, ascending, between 0 and 1.
    """

    def __init__(
        self, over_time: OverTime = "mean", scale: Scale = "none", levels: Sequence[float] = (0.05, 0.5, 0.95)
    ):
        super().__init__(over_time, scale)
        self.levels = tuple(levels)

    def per_step(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `StepLoss`."""
        quantiles = self._quantiles(outputs)
        costs = [torch.maximum(q * e, (q - 1) * e) for q, e in zip(self.levels, (targets - quantiles), strict=True)]
        return torch.stack(costs).mean((0, -1))

    def outputs(self, size: int) -> int:
        """One a value and level; all levels of the first value come first."""
        return size * len(self.levels)

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The quantile whose level is nearest to 1/2, the median where there is one; of two as near the lower."""
        distances = [abs(q - 0.5) for q in self.levels]
        return self._quantiles(outputs)[distances.index(min(distances))]

    def measures(self, outputs: Tensor, targets: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        """`pinball`, and `coverage`: the share of values between the outer quantiles, which should be their distance.

        Of a single level there is no coverage.
        """
        found = {"pinball": over_steps(self.per_step(outputs, targets), mask)}
        if len(self.levels) == 1:
            return found
        low, *_, high = self._quantiles(outputs)
        inside = ((low <= targets) & (targets <= high)).to(outputs.dtype).mean(-1)
        return found | {"coverage": over_steps(inside, mask)}

    def _quantiles(self, outputs: Tensor) -> Float[Tensor, "levels time batch values"]:
        return outputs.unflatten(-1, (-1, len(self.levels))).movedim(-1, 0)
