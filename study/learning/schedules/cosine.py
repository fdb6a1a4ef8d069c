"""A rate that falls along half a cosine over the run (Loshchilov & Hutter 2017, arXiv 1608.03983, eq. 5, no restart).

As torch's `CosineAnnealingLR`, in closed form: after N updates it stays where it ended, and does not rise again.
"""

import math

from study.learning.schedules.contract import RateSchedule


class CosineRate(RateSchedule):
    """factor(n) = floor + (1 - floor) (1 + cos(pi n / N)) / 2.

    Args:
        floor: factor(N), after the last update.
        warmup: see `RateSchedule`.
    """

    def __init__(self, floor: float = 0.0, warmup: int = 0):
        super().__init__(warmup)
        self._floor = floor

    def factor(self, done: int, updates: int) -> float:
        """See `RateSchedule`."""
        return self._floor + (1 - self._floor) * (1 + math.cos(math.pi * min(done, updates) / updates)) / 2
