"""Autoregression by ordinary least squares on the latest values of all features; the number of lags is chosen."""

from collections.abc import Sequence

import torch
from torch import Tensor

from study.opponents.least_squares import Design, Level, LinearForecast, fit_levels
from study.tasks import Batch, Task
from study.tasks.forecasting.family import Forecasting

LAGS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89)
"""Numbers of lags to choose from; 1 is the current step alone."""
MOST_COLUMNS = 700
"""Of all features and lags: what one QR decomposition does in a second or two."""


class Lags(Design):
    """Every feature at the current step, at the step before, and so on."""

    def __init__(self, features: int):
        self._features = features
        self.levels = [Level(lags * features, lags - 1) for lags in LAGS if lags * features <= MOST_COLUMNS]
        self.levels = self.levels or [Level(features, 0)]

    def columns(self, batch: Batch) -> Tensor:
        """See `Design`; one group."""
        lags = self.levels[-1].since + 1
        return torch.cat(lagged(batch.inputs.double(), range(lags)), -1)[:, :, None]

    def label(self, level: Level) -> str:
        """See `Design`."""
        return "OLS on the last value" if level.since == 0 else f"OLS on {level.since + 1} lags"


def lagged(values: Tensor, lags: Sequence[int]) -> list[Tensor]:
    """The values so many steps before every step; 0 where there are none."""
    return [torch.cat([torch.zeros_like(values[:lag]), values[: max(0, len(values) - lag)]]) for lag in lags]


def fit(task: Task) -> LinearForecast:
    """The number of lags that is best on the validation part."""
    assert isinstance(task, Forecasting)
    return fit_levels(Lags(len(task.features)), task)
