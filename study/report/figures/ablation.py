"""The measure of a task, and a second number under it, against a parameter that the study varied."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from study.figures.style import INK, Marks, Picture, colour, legend_below, line_style, panels, render, styled
from study.report.data.arm_names import name_arms
from study.report.data.runs import Comparison, configurations
from study.report.data.statistics import Interval, mean_interval, share_interval

SERIES = 12
"""Lines in one panel; the first ones, if there are more."""


class Beside(NamedTuple):
    """A number to look at under the measure.

    Attributes:
        label: on its axis.
        number: of the runs at one place.
        share: lies between 0 and 1.
    """

    label: str
    number: Callable[[pd.DataFrame], Interval]
    share: bool = False


class Varied(NamedTuple):
    """A parameter that a study may vary.

    Attributes:
        key: of the configuration.
        label: on the axis.
        missing: what a run without it is called.
        implied: keys that go with it and do not make arms different by themselves.
        beside: what to look at beside the measure.
    """

    key: str
    label: str
    missing: str
    implied: tuple[str, ...]
    beside: tuple[Beside, ...]


def share_diverged(runs: pd.DataFrame) -> Interval:
    """How many runs left the finite numbers."""
    return share_interval(int((runs["outcome"] == "diverged").sum()), len(runs))


def milliseconds(runs: pd.DataFrame) -> Interval:
    """Time an update takes, validation included."""
    return mean_interval((1000 * runs["seconds"] / runs["updates"]).dropna().to_numpy(float))


def mean_of(column: str) -> Callable[[pd.DataFrame], Interval]:
    """The mean of a column of the results over runs."""
    return lambda runs: mean_interval(runs[column].dropna().to_numpy(float))


def share_solved(runs: pd.DataFrame) -> Interval:
    """How many runs solve a synthetic task; see `SOLVED`."""
    return share_interval(int(runs["solved"].sum()), len(runs))


SOLVED: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "labelling_temporal_order": lambda runs: runs["value"] > 0.99,
    "labelling_parity": lambda runs: runs["value"] > 0.99,
    "forecasting_adding": lambda runs: runs["value"] ** 2 < 0.05,
    "language_copying": lambda runs: runs["value"] < 0.1 * runs["baseline"],
}
"""When a synthetic task counts as solved: less than 1% wrong (Pascanu et al. 2013), a squared error below 0.05 (knowing
nothing: 1/6), a tenth of the naive guess's nats."""

TIME = Beside("milliseconds\nan update", milliseconds)
MEMORY = Beside("megabytes kept\nfor an update", mean_of("megabytes"))
DIVERGED = Beside("share of runs\ndiverged", share_diverged, share=True)
SCALE = Beside("median gradient\nnorm", mean_of("norm_median"))
CLIPPED = Beside("share of updates\nclipped", mean_of("clipped"), share=True)
SUCCESS = Beside("share of runs\nthat solve it", share_solved, share=True)
VARIED = (
    Varied("bptt.k2", "truncation length k2 (steps)", "full", ("bptt.k1",), (TIME, MEMORY)),
    Varied("clip.threshold", "clipping threshold", "no clip", ("clip.name",), (DIVERGED,)),
    Varied("loss.name", "loss", "?", ("loss.over_time",), (SCALE, CLIPPED)),
    Varied("task.seq_len", "sequence length (steps)", "?", ("task.horizon",), (SUCCESS,)),
    Varied("task.delay", "silence (steps)", "?", ("task.horizon",), (SUCCESS,)),
)


def against(comparison: Comparison, runs: pd.DataFrame, varied: Varied) -> Picture | None:
    """The measure, and under it a second number, against a parameter; None where fewer than two values were tried.

    Args:
        comparison: the task.
        runs: its rows of the results.
        varied: what to look at.
    """
    solves = SOLVED.get(comparison.task)
    if f"params.{varied.key}" not in comparison.runs or (SUCCESS in varied.beside and solves is None):
        return None
    data = _laid_out(comparison, runs, varied).assign(solved=solves(runs) if solves else None)
    data = data[data.groupby("series")["place"].transform("nunique") > 1]
    if data.empty:
        return None
    beside = [beside for beside in varied.beside if beside.number(data).seeds]
    below = " and ".join(found.label.replace("\n", " ") for found in beside)
    return Picture(
        f"{comparison.task}-against-{varied.key.replace('.', '-')}",
        f"{comparison.measure} against {varied.label}",
        f"Top: {comparison.measure} on test of every run that completed (dots) and their mean. Below: {below}. "
        f"{len(data)} runs; bars are 95% intervals over seeds (of shares: Wilson; of means: Student's t), "
        "none where there is one seed. Values of the parameter are spaced evenly.",
        _drawn(comparison, data, varied.label, beside),
        data.reset_index().drop(columns=["arm", "counts", "error"]),
    )


def _laid_out(comparison: Comparison, runs: pd.DataFrame, varied: Varied) -> pd.DataFrame:
    """Every run with its place on the axis, and the line it belongs to: its arm but for the parameter."""
    values = comparison.runs[f"params.{varied.key}"]
    hidden = (varied.key, *varied.implied)
    kept = {
        arm: {key: value for key, value in configuration.items() if key not in hidden}
        for arm, configuration in configurations(comparison.runs).items()
    }
    place = values.where(values.notna() & (values != "None"), varied.missing)
    return runs.assign(place=place, series=comparison.runs["arm"].map(name_arms(kept)))


def _order(place: str) -> tuple[float, str]:
    """Numbers by size, words after them."""
    try:
        return float(place), ""
    except ValueError:
        return math.inf, place


def _drawn(comparison: Comparison, data: pd.DataFrame, label: str, below: list[Beside]) -> str:
    places, series = sorted(data["place"].unique(), key=_order), list(dict.fromkeys(data["series"]))[:SERIES]
    figure, grid = panels(1 + len(below), 1, height=2.0, sharey=False)
    top, marks = grid[0], Marks()
    with styled():
        for number, name in enumerate(series):
            shift = 0.05 * (number - (len(series) - 1) / 2)
            mine = data[data["series"] == name]
            mine = mine.assign(x=mine["place"].map(places.index) + shift)
            for run, x, value in zip(mine.index, mine["x"], mine["value"], strict=True):
                marks(str(run), top.plot(x, value, "o", ms=4, alpha=0.5, color=colour(number)))
            _line(top, mine, lambda cell: comparison.interval(cell["value"]), number, name)
            for axes, beside in zip(grid[1:], below, strict=True):
                _line(axes, mine, beside.number, number, name)
        if not math.isnan(comparison.baseline):
            top.axhline(comparison.baseline, color=INK, lw=1, ls=(0, (1, 1)), label="naive guess")
        for axes, ordinate in zip(grid, (f"{comparison.measure} on test", *(b.label for b in below)), strict=True):
            axes.set(ylabel=ordinate, xticks=range(len(places)), xticklabels=places)
        for axes in (axes for axes, beside in zip(grid[1:], below, strict=True) if beside.share):
            axes.set_ylim(-0.05, 1.05)
        grid[-1].set_xlabel(label)
        legend_below(figure, top)
    return render(figure)


def _line(
    axes: Axes, runs: pd.DataFrame, number: Callable[[pd.DataFrame], Interval], place: int, label: str
) -> None:  # fmt: skip
    """Means with their intervals, from left to right."""
    points = {float(str(x)): number(cell) for x, cell in runs.groupby("x")}
    means = np.array([point.mean for point in points.values()])
    known = [point if point.seeds > 1 else Interval(point.mean, point.mean, point.mean, 1) for point in points.values()]
    bars = np.array([[point.mean - point.low, point.high - point.mean] for point in known]).T
    axes.errorbar(
        [*points], means, np.nan_to_num(np.maximum(bars, 0)), lw=1.2, capsize=3, label=label, **line_style(place)
    )
