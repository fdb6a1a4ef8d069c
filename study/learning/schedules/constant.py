"""No schedule: the same rate for every update, once it is warm."""

from study.learning.schedules.contract import RateSchedule


class ConstantRate(RateSchedule):
    """factor(n) = 1."""

    def factor(self, done: int, updates: int) -> float:
        """See `RateSchedule`."""
        return 1.0
