"""What a truth looks like: a measure, what it should be, what it was."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rich.box import SIMPLE
from rich.table import Table

WIDTH = 120
"""Columns of text the table needs."""


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


def table(checks: Sequence[Check]) -> Table:
    """Measure, what of, expected, got, error, tolerance; failures marked."""
    title = "Gradient measures against known truth (float64; rates in nats a step)"
    note = "Where a row stands for many numbers (every lag, step, exponent, parameter), its error is their largest."
    shown = Table(title=title, caption=note, box=SIMPLE)
    for column in ("measure", "of"):
        shown.add_column(column, no_wrap=True)
    for column in ("expected", "got", "error", "tolerance", ""):
        shown.add_column(column, justify="right", no_wrap=True)
    for check in checks:
        numbers = f"{check.expected:.6f}", f"{check.got:.6f}", f"{check.error:.1e}", f"{check.tolerance:.0e}"
        shown.add_row(check.measure, check.of, *numbers, "ok" if check.holds else "[bold red]WRONG[/]")
    return shown
