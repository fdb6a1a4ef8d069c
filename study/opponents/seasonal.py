"""The seasonal naive forecast: the value of the latest season known (Hyndman & Athanasopoulos 2021, section 5.2)."""

import math

import torch
from torch import Tensor

from study.opponents.contract import Fitted
from study.tasks import Batch, Task
from study.tasks.forecasting.family import Forecasting


class Seasonal(Fitted):
    """x(t + ahead) is predicted by x(t + ahead - lag), lag being as many whole seasons as `ahead` needs.

    Until a season is known, the value stays.
    """

    def __init__(self, task: Forecasting):
        self._task, self._season = task, task.season
        self.label = f"season of {self._season} repeated"

    def predict(self, batch: Batch, before: Tensor) -> Tensor:
        """See `Fitted`."""
        assert self._task.levels is not None
        level = self._task.in_own_unit(batch.inputs, self._task.levels)
        changes = torch.zeros_like(level)
        for column, target in enumerate(self._task.known.values()):
            back = self._season * math.ceil(target.ahead / self._season) - target.ahead
            changes[back:, :, column] = level[: len(level) - back, :, column] - level[back:, :, column]
        return self._task.baseline(batch) + (changes / self._task.units).to(torch.float32)


def fit(task: Task) -> Seasonal:
    """Nothing is fitted."""
    assert isinstance(task, Forecasting)
    return Seasonal(task)
