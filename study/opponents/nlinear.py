"""NLinear (Zeng et al. 2023, arXiv 2205.13504): the latest value and a linear map of those before less the latest.

Each target is predicted from the past of its own column. Departures: solved by least squares, the minimum that the
published training by gradient descent approaches; and the number of lags is chosen on the validation part.
"""

import torch
from torch import Tensor

from study.opponents.autoregression import LAGS, lagged
from study.opponents.least_squares import Design, Level, LinearForecast, fit_levels
from study.tasks import Batch, Task
from study.tasks.forecasting.family import Forecasting


class NLinearDesign(Design):
    """For every target, what its column was 1, 2, ... steps ago less what it is now."""

    levels = tuple(Level(lags - 1, lags - 1) for lags in LAGS)

    def __init__(self, task: Forecasting):
        assert task.levels is not None
        self._task, self._names = task, task.levels

    def columns(self, batch: Batch) -> Tensor:
        """See `Design`; a group a target, in the target's standardised unit."""
        level = self._task.in_own_unit(batch.inputs, self._names) / self._task.units
        return torch.stack(lagged(level, range(1, LAGS[-1])), -1) - level[..., None]

    def offset(self, batch: Batch) -> Tensor:
        """The value stays."""
        return self._task.baseline(batch)

    def label(self, level: Level) -> str:
        """See `Design`."""
        return f"NLinear, {level.since + 1} lags"


def fit(task: Task) -> LinearForecast:
    """The number of lags that is best on the validation part."""
    assert isinstance(task, Forecasting)
    return fit_levels(NLinearDesign(task), task)
