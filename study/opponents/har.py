"""HAR: volatility from its own averages over a day, a week and a month (Corsi 2009, equation 9), in logarithms.

log sigma(t+1..t+ahead) is regressed on the log root mean square return of the last 1, 5 and 22 days. Departure: 66
days, a quarter, may join them, as the validation part chooses.
"""

import torch
from torch import Tensor

from study.opponents.least_squares import Design, Level, LinearForecast, fit_levels
from study.tasks import Batch, Task
from study.tasks.forecasting.family import Forecasting

DAYS = (1, 5, 22, 66)
FLOOR = 1e-4
"""One basis point: the log of the volatility of a price that did not change must stay finite."""


class Averages(Design):
    """For every target, log root mean square returns of its own series over the last days."""

    levels = tuple(Level(count + 1, days - 1) for count, days in enumerate(DAYS))

    def __init__(self, task: Forecasting):
        self._task = task
        self._returns = [name for target in task.known.values() if (name := target.returns) is not None]

    def columns(self, batch: Batch) -> Tensor:
        """See `Design`; a group a target."""
        squares = self._task.in_own_unit(batch.inputs, self._returns).square()
        sums = torch.cat([torch.zeros_like(squares[:1]), squares.cumsum(0)])
        first = [(torch.arange(len(squares)) + 1 - days).clamp(min=0) for days in DAYS]
        means = [(sums[1:] - sums[start]) / days for start, days in zip(first, DAYS, strict=True)]
        return torch.stack(means, -1).clamp(min=0).sqrt().clamp(min=FLOOR).log()

    def label(self, level: Level) -> str:
        """See `Design`."""
        return f"HAR({', '.join(map(str, DAYS[: level.columns]))})"


def fit(task: Task) -> LinearForecast:
    """The averages that are best on the validation part, from the shortest on."""
    assert isinstance(task, Forecasting)
    return fit_levels(Averages(task), task)
