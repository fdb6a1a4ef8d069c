"""What is made larger, and what is measured of it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Costs = Mapping[str, float]
"""By name, unit included."""


@dataclass(frozen=True)
class GrowthRow:
    """One thing that grows.

    Attributes:
        about: what it is, in a few words of the table.
        sizes: from the smallest to the largest.
        measure: the costs at one size, in a process of its own; the folder is shared by the sizes of the row, which
            come in their order.
    """

    about: str
    sizes: tuple[int, ...]
    measure: Callable[[Path, int], Costs]


class Meter:
    """CPU seconds and megabytes of this process since it was made: what the work needs is to be imported before."""

    def __init__(self) -> None:
        self._began, self._before = time.process_time(), _peak()

    def seconds(self) -> float:
        """Of all threads."""
        return time.process_time() - self._began

    def megabytes(self) -> float:
        """By which the largest size of the process has grown."""
        return _peak() - self._before


def _peak() -> float:
    """Megabytes at the largest: as Linux counts them, `getrusage` would begin with those of the parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6
