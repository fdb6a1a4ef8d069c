"""Where values of a parameter stand on an abscissa: numbers on a scale, words beside each other and after them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from study.figures.limits import spans_decades

APART = 0.15
"""Distance of words from the numbers and from each other, in lengths of the scale of the numbers."""
BESIDE = 0.012
"""Distance of series at one value, at most."""


@dataclass(frozen=True)
class Abscissa:
    """The values that were tried.

    Attributes:
        at: the place of every value; numbers lie from 0 to 1.
        numbers: those of them that are numbers, which lines may join.
        log: numbers are on a logarithmic scale.
    """

    at: Mapping[str, float]
    numbers: frozenset[str]
    log: bool

    @classmethod
    def of(cls, values: Iterable[str]) -> "Abscissa":
        """Place values as they were logged."""
        distinct = set(values)
        numbers = {value: number for value in distinct if (number := _number(value)) is not None}
        log, words = spans_decades([*numbers.values()]), sorted(distinct - set(numbers))
        scaled = {value: float(np.log10(number) if log else number) for value, number in numbers.items()}
        low, high = min(scaled.values(), default=0.0), max(scaled.values(), default=0.0)
        at = {value: (place - low) / (high - low or 1.0) for value, place in scaled.items()}
        first = (1.0 if high > low else 0.0) + APART if at else 0.0
        at |= {word: first + APART * n for n, word in enumerate(words)}
        return cls(at, frozenset(numbers), log)

    def beside(self, series: int) -> list[float]:
        """How far each of several series stands from the place of a value, so that none hides another."""
        places = sorted(self.at.values())
        nearest = min(np.diff(places), default=APART)
        each = min(BESIDE, float(nearest) / (2 * series))
        return [each * (number - (series - 1) / 2) for number in range(series)]

    def label(self, axes: Axes) -> None:
        """Ticks at the values."""
        places = sorted(self.at, key=self.at.__getitem__)
        axes.set_xticks([self.at[value] for value in places], places)
        room = 0.08 if self.numbers else 0.5 * APART
        axes.set_xlim(min(self.at.values()) - room, max(self.at.values()) + room)

    @property
    def explained(self) -> str:
        """How the values stand, for a caption."""
        if not self.numbers:
            return "The values are no numbers, so no lines join them."
        scale = f"Values are on a {'logarithmic' if self.log else 'linear'} scale. " if len(self.numbers) > 1 else ""
        apart = "What is no number stands after the numbers, joined by no line. "
        return f"{scale}{apart if len(self.at) > len(self.numbers) else ''}".rstrip()


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
