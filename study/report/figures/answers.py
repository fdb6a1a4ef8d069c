"""The answer of a task as one picture: every arm with its interval and its seeds, among the opponents."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from study.figures.limits import spans_decades
from study.figures.style import GUIDE, INK, OPPONENT, colour, marker, panels, tag_run
from study.report.data.comparison import Comparison, worth
from study.report.data.opponents import reached
from study.report.figures.arms import choose
from study.report.figures.picture import Picture, count_of
from study.tracking.outcomes import LOST

ARMS = 40
"""Most arms with a row: the best ones."""
NAIVE = "guess without memory"
NEAR = 2.0
"""References within so many spans of the arms and the best opponent are in the panel, others are named at its edge."""
ROW, LINE, LABEL, FIRST = 0.3, 0.16, 0.55, -0.6
"""Least height of an arm's row and that of each line of its name, inches; in rows that of a label above them; the upper
end of the first arm's row."""
CHARACTER = 0.0085
"""Share of the panel's width that a character of a label takes."""


@dataclass(frozen=True)
class References:
    """What arms are measured against: the level of each, by name, the best opponent first."""

    levels: Mapping[str, float]

    @property
    def best(self) -> list[float]:
        """The level of the hardest, if there is one."""
        return list(self.levels.values())[:1]


def references(comparison: Comparison) -> References:
    """The opponents that are the same for all runs, and the naive guess where none of them is the same as it."""
    found = {name: low for name, (low, high) in reached(comparison).items() if math.isclose(low, high)}
    guess = comparison.baseline
    if not math.isnan(guess) and not any(math.isclose(level, guess, rel_tol=1e-6) for level in found.values()):
        found[NAIVE] = guess
    return References(found)


def answer_picture(comparison: Comparison) -> Picture | None:
    """The measure of every arm; None where no run has a value, or there is one run and nothing to compare it with."""
    values, against = worth(comparison.runs), references(comparison)
    if values.notna().sum() + len(against.levels) < 2 or not values.notna().any():
        return None
    arms, missing = choose(comparison, set(comparison.arms), ARMS, "")
    shown = comparison.runs[comparison.runs["arm"].isin(arms)]
    low, high = _limits(comparison, arms, against)
    labels = _label_rows(against, low, high)
    last, top = len(arms) - 0.4, FIRST - LABEL * (1 + max(labels.values(), default=-1))
    names = [_name(comparison, arm) for arm in arms]
    row_height = max(ROW, LINE * max(name.count("\n") + 1 for name in names))
    with panels(1, height=row_height * (last - top) + 0.3) as (figure, (axes,)):
        if spans_decades([low, high]):
            axes.set_xscale("log")
        axes.set(xlim=(low, high), ylim=(last, top), xlabel=f"{comparison.measure} on test")
        for row, arm in enumerate(arms):
            _draw_arm(axes, comparison, arm, row)
        _draw_references(axes, against, labels)
        axes.set_yticks(range(len(arms)), names)
        axes.grid(False, axis="y")
    better = "right" if comparison.maximize else "left"
    return Picture(
        f"{comparison.task}-answer",
        f"The answer: {comparison.measure} on test, arm by arm",
        f"Best arm first; the further to the {better}, the better. Small dots: {count_of(int(values.count()), 'run')}, "
        "one a seed; large: their mean with its 95% interval over seeds (Student's t; none where there is one seed; an "
        "arrow where it goes on beyond the panel). Vertical: the opponents and the guess that every run is measured "
        "against on the same steps. Runs that diverged or were ruined have no value and are counted below the name of "
        f"their arm.{missing}",
        figure,
        shown.reset_index(names="run_id")[["run_id", "arm", "seed", "outcome"]].assign(value=list(worth(shown))),
    )


def _limits(comparison: Comparison, arms: list[str], against: References) -> tuple[float, float]:
    """The ends of the abscissa: all runs, the best opponent, and what else lies near."""
    runs = [worth(comparison.arm(arm)) for arm in arms]
    inner = np.array([*pd.concat(runs).dropna(), *against.best])
    span = np.ptp(inner) or 0.1 * abs(inner[0]) or 1.0
    ends = [end for found in map(comparison.interval, runs) if found.seeds > 1 for end in (found.low, found.high)]
    further = np.clip(ends, inner.min() - span, inner.max() + span)
    near = [level for level in against.levels.values() if min(abs(inner - level)) <= NEAR * span]
    low, high = min([*inner, *near, *further]), max([*inner, *near, *further])
    if spans_decades([low, high]):
        return float(low / 1.3), float(high * 1.3)
    room = 0.04 * (high - low or span)
    return float(low - room), float(high + room)


def _draw_arm(axes: Axes, comparison: Comparison, arm: str, row: int) -> None:
    """The seeds of an arm, and their mean with its interval."""
    runs, place = comparison.arm(arm), comparison.place(arm)
    shade, form, found = colour(place), marker(place), comparison.interval(worth(runs))
    for run, value in worth(runs).dropna().items():
        tag_run(str(run), axes.plot(value, row + 0.14, "o", ms=4, alpha=0.6, color=shade, mew=0))
    if found.seeds:
        axes.plot(found.mean, row - 0.1, form, ms=7, color=shade)
    if found.seeds > 1:
        _draw_interval(axes, found.low, found.high, row - 0.1, shade)


def _draw_interval(axes: Axes, low: float, high: float, row: float, shade: str) -> None:
    """A bar from end to end with caps; an arrow where it leaves the panel."""
    left, right = axes.get_xlim()
    axes.plot([max(low, left), min(high, right)], [row, row], color=shade, lw=1.6)
    for end, edge, beyond, form in ((low, left, low < left, "<"), (high, right, high > right, ">")):
        axes.plot(edge if beyond else end, row, form if beyond else "|", ms=6, color=shade, clip_on=False)


def _name(comparison: Comparison, arm: str) -> str:
    """An arm and, below, how many of its runs have no value, and why."""
    runs = comparison.arm(arm)
    counts = runs.loc[runs["outcome"].isin(LOST), "outcome"].value_counts()
    lost = ", ".join(f"{count} of {len(runs)} {outcome}" for outcome, count in counts.items())
    return "\n".join(filter(None, [fill(arm, 40), lost]))


def _label_rows(against: References, low: float, high: float) -> dict[str, int]:
    """The row of every label above the arms, from 0, the lowest: above all lines and labels that it would touch."""
    rows: dict[str, int] = {}
    extents = {name: _extent(name, level, low, high) for name, level in against.levels.items()}
    leftward = {name: extents[name][0] < _share(level, low, high) for name, level in against.levels.items()}
    for name in sorted(extents, key=lambda name: (leftward[name], -extents[name][0])):
        left, right = extents[name]
        touched = [row for other, row in rows.items() if extents[other][0] < right and left < extents[other][1]]
        rows[name] = max(touched, default=-1) + 1
    return rows


def _extent(name: str, level: float, low: float, high: float) -> tuple[float, float]:
    """Where a label begins and ends, in shares of the panel's width: it ends at the line if that stands far right."""
    place, width = _share(level, low, high), CHARACTER * (len(_label(name, level)) + 2)
    return (place, place + width) if place + width <= 1 else (place - width, place)


def _share(level: float, low: float, high: float) -> float:
    ends = np.array([level, low, high])
    at, first, last = np.log(ends) if spans_decades([low, high]) and level > 0 else ends
    return float(np.clip((at - first) / (last - first), 0, 1))


def _label(name: str, level: float) -> str:
    return f"{name} {level:.4g}"


def _draw_references(axes: Axes, against: References, rows: Mapping[str, int]) -> None:
    """A line at every level with its label above the arms; of a level outside the panel the label, with an arrow."""
    (low, high), (bottom, _) = axes.get_xlim(), axes.get_ylim()
    for name, level in against.levels.items():
        height, place, inside = FIRST - LABEL * (rows[name] + 0.5), min(max(level, low), high), low <= level <= high
        style = GUIDE if name == NAIVE else OPPONENT
        if inside:
            axes.plot([place, place], [bottom, height - LABEL / 2], color=INK, **style)
        share = _share(level, low, high)
        side, gap = ("left", 3) if _extent(name, level, low, high)[0] >= share else ("right", -3)
        text = _label(name, level) if inside else f"{_label(name, level)} {'→' if level > high else '←'}"
        beside: Any = {"xytext": (gap, 0), "textcoords": "offset points"}
        axes.annotate(text, (place, height), ha=side, va="center", fontsize=8, color=INK, **beside)
