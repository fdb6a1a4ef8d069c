"""The adding problem: the sum of two numbers far apart (Hochreiter & Schmidhuber 1997; as in Arjovsky et al. 2016).

At every step a number, uniform in [0, 1], and a mark; one step of the first half and one of the second are marked.
At the last step the sum of the two marked numbers is asked for: the first lies T/2 to T - 1 steps back. Without
memory the best answer is 1, and its mean squared error the variance of a sum of two uniform numbers, 1/6.
"""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.forecasting import ForecastingAddingConfig as Config
from study.tasks.contract import Batch
from study.tasks.metrics import ForecastMetrics
from study.tasks.synthetic import Synthetic


class Adding(Synthetic):
    """(number, mark) in; their sum over marked steps out, at the last step only."""

    inputs = Inputs(2, tokens=False)
    targets = 1
    primary = "rmse"

    def __init__(self, config: Config, data: DataConfig, seed: int):
        super().__init__(config, data, seed)
        self._seq_len = config.seq_len
        self._last = torch.arange(config.seq_len)[:, None] == config.seq_len - 1

    def draw(self, width: int, draws: Generator) -> Batch:
        """See `Synthetic`."""
        time, half = self._seq_len, self._seq_len // 2
        numbers = torch.rand(time, width, generator=draws)
        first = torch.randint(half, (1, width), generator=draws)
        second = torch.randint(half, time, (1, width), generator=draws)
        marks = torch.zeros(time, width).scatter_(0, torch.cat([first, second]), 1.0)
        sums = (numbers * marks).sum(0)
        mask = self._last.expand(time, width)
        return Batch(torch.stack([numbers, marks], -1), (sums * mask)[..., None], mask)

    def metrics(self) -> ForecastMetrics:
        """RMSE, MAE, skill over the constant 1."""
        return ForecastMetrics(torch.ones(1), self.baseline)

    def solved(self, test: Mapping[str, float], guess: Mapping[str, float]) -> bool:
        """The mean squared error is below .05, where a constant has 1/6."""
        return test["rmse"] ** 2 < 0.05

    def baseline(self, batch: Batch) -> Tensor:
        """The mean of the sum."""
        return torch.ones_like(batch.targets)
