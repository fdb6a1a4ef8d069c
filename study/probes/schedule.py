"""When probes measure, apart from what they measure."""

import sys

NEVER = sys.maxsize


class Schedule:
    """Updates after which to measure; 0 is before the first. The end of a run is measured in any case.

    Args:
        every: measure after every so many updates, from 0 on; None: no such rhythm.
        per_decade: measure after 0 updates, after 1, and so many times in every decade of updates, evenly spaced in
            the logarithm; None: no such rhythm.
        start: measure before the first update, whatever the rhythm.
    """

    def __init__(self, every: int | None, per_decade: int | None, start: bool = False):
        self._every, self._per_decade, self._start = every, per_decade, start

    def first(self) -> int:
        """The first update to measure after, or `NEVER`."""
        return 0 if self._start or self._every or self._per_decade else NEVER

    def after(self, update: int) -> int:
        """The next update to measure after `update`, or `NEVER`."""
        due = NEVER
        if self._every:
            due = (update // self._every + 1) * self._every
        if self._per_decade:
            due = min(due, self._logarithmic(update))
        return due

    def _logarithmic(self, update: int) -> int:
        """The smallest of round(10^(i / per_decade)) above `update`."""
        assert self._per_decade
        i = 0
        while (due := round(10 ** (i / self._per_decade))) <= update:
            i += 1
        return due
