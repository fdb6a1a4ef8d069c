"""A rate that falls in steps: factor(n) = c^floor(n / every), as torch's `StepLR`."""

from study.learning.schedules.contract import RateSchedule


class StepRate(RateSchedule):
    """factor(n) = c^floor(n / every).

    Args:
        factor: c, of one step.
        every: updates between steps.
        warmup: see `RateSchedule`.
    """

    def __init__(self, factor: float, every: int, warmup: int = 0):
        super().__init__(warmup)
        self._factor, self._every = factor, every

    def factor(self, done: int, updates: int) -> float:
        """See `RateSchedule`."""
        return float(self._factor ** (done // self._every))
