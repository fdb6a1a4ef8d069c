"""What a truth looks like: a measure, what it should be, what it was."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from study.terminal import Printer, table

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

    @property
    def record(self) -> dict[str, float | str | bool]:
        """All of it as a row of a table."""
        numbers = {"expected": self.expected, "got": self.got, "error": self.error, "tolerance": self.tolerance}
        verdict = "ok" if self.holds else "WRONG"
        return {"measure": self.measure, "of": self.of, **numbers, "holds": self.holds, "verdict": verdict}


Truth = Callable[[], Iterator[Check]]


COLUMNS = {
    "measure": "{measure}",
    "of": "{of}",
    "expected": "{expected:.6f}",
    "got": "{got:.6f}",
    "error": "{error:.1e}",
    "tolerance": "{tolerance:.0e}",
    "": "{verdict}",
}


def show(printer: Printer, checks: Sequence[Check]) -> None:
    """Print measure, what of, expected, got, error, tolerance; failures marked."""
    from rich.box import SIMPLE
    from rich.console import Console

    records = [check.record for check in checks]
    title = "Gradient measures against known truth (float64; rates in nats a step)"
    note = "Where a row stands for many numbers (every lag, step, exponent, parameter), its error is their largest."
    wrong = lambda record: None if record["holds"] else "bold red"  # noqa: E731
    console = Console()
    console.width = max(console.width, WIDTH)
    drawn = table(records, COLUMNS, wrong, title=title, caption=note, box=SIMPLE)
    printer.show("checks", records, drawn, console)
