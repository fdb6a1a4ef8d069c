"""What a truth looks like: a measure, what it should be, what it was."""

from collections.abc import Callable, Iterator
from typing import NamedTuple


class Check(NamedTuple):
    """One measure against one truth.

    Attributes:
        worst: the largest error of many, of which `expected` and `got` are one; None where they are all.
    """

    measure: str
    of: str
    expected: float
    got: float
    tolerance: float
    worst: float | None = None

    @property
    def error(self) -> float:
        """Absolute."""
        return abs(self.got - self.expected) if self.worst is None else self.worst

    @property
    def holds(self) -> bool:
        """Whether it is within the tolerance."""
        return self.error <= self.tolerance


Truth = Callable[[], Iterator[Check]]
