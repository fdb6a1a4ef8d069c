"""The measure of a task, and a second number under it, against a parameter that the study varied."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from study.report.arms import name_arms
from study.report.drawing import INK, Marks, Picture, colour, legend_below, look, panels, render, styled
from study.report.evidence import Comparison, configurations
from study.report.statistics import Interval, mean_interval, share_interval

SERIES = 12
"""Lines in one panel; the first ones, if there are more."""


@dataclass(frozen=True)
class Varied:
    """A parameter that a study may vary, and the number to look at beside the measure.

    Attributes:
        key: of the configuration.
        label: on the axis.
        missing: what a run without it is called.
        implied: keys that go with it and do not make arms different by themselves.
        beside: label of the second number.
        number: that number, of the runs at one place.
    """

    key: str
    label: str
    missing: str
    implied: tuple[str, ...]
    beside: str
    number: Callable[[pd.DataFrame], Interval]


def share_diverged(runs: pd.DataFrame) -> Interval:
    """How many runs left the finite numbers."""
    return share_interval(int((runs["outcome"] == "diverged").sum()), len(runs))


def milliseconds(runs: pd.DataFrame) -> Interval:
    """Time an update takes, validation included."""
    return mean_interval((1000 * runs["seconds"] / runs["updates"]).dropna().to_numpy(float))


def gradient_scale(runs: pd.DataFrame) -> Interval:
    """The median gradient norm of a run before clipping."""
    return mean_interval(runs["norm_median"].dropna().to_numpy(float))


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

_LENGTH = ("sequence length (steps)", "?", ("task.horizon",), "share of runs that solve it", share_solved)
VARIED = (
    Varied("bptt.k2", "truncation length k2 (steps)", "full", ("bptt.k1",), "milliseconds an update", milliseconds),
    Varied("clip.threshold", "clipping threshold", "no clip", ("clip.name",), "share of runs diverged", share_diverged),
    Varied("loss.name", "loss", "?", ("loss.over_time",), "median gradient norm before clipping", gradient_scale),
    Varied("task.seq_len", *_LENGTH),
    Varied("task.delay", *_LENGTH),
)


def against(comparison: Comparison, runs: pd.DataFrame, varied: Varied) -> Picture | None:
    """The measure, and under it a second number, against a parameter; None where fewer than two values were tried.

    Args:
        comparison: the task.
        runs: its rows of the results.
        varied: what to look at.
    """
    solves = SOLVED.get(comparison.task)
    if f"params.{varied.key}" not in comparison.runs or (varied.number is share_solved and solves is None):
        return None
    data = _laid_out(comparison, runs, varied).assign(solved=solves(runs) if solves else None)
    data = data[data.groupby("series")["place"].transform("nunique") > 1]
    if data.empty:
        return None
    return Picture(
        f"{comparison.task}-against-{varied.key.replace('.', '-')}",
        f"{comparison.measure} and {varied.beside}, against {varied.label}",
        f"Above: {comparison.measure} on test of every run that completed (dots) and their mean. Below: "
        f"{varied.beside}. {len(data)} runs; bars are 95% intervals over seeds (of shares: Wilson; of means: Student's "
        "t, bootstrap from 20 seeds on), none where there is one seed. Values of the parameter are spaced evenly.",
        _drawn(comparison, data, varied),
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


def _drawn(comparison: Comparison, data: pd.DataFrame, varied: Varied) -> str:
    places = sorted(data["place"].unique(), key=_order)
    figure, (above, below) = panels(2, 1, height=2.6, sharey=False)
    marks = Marks()
    with styled():
        names = list(dict.fromkeys(data["series"]))[:SERIES]
        for number, name in enumerate(names):
            mine = data[data["series"] == name]
            across = {place: places.index(place) + 0.05 * (number - (len(names) - 1) / 2) for place in places}
            for run, place, value in zip(mine.index, mine["place"], mine["value"], strict=True):
                marks(str(run), above.plot(across[place], value, "o", ms=4, alpha=0.5, color=colour(number)))
            cells = {across[str(place)]: cell for place, cell in mine.groupby("place")}
            _line(above, {x: mean_interval(cell["value"].dropna()) for x, cell in cells.items()}, number, name)
            _line(below, {x: varied.number(cell) for x, cell in cells.items()}, number, name)
        if not math.isnan(comparison.baseline):
            above.axhline(comparison.baseline, color=INK, lw=1, ls=(0, (1, 1)), label="naive guess")
        for axes, label in ((above, f"{comparison.measure} on test"), (below, varied.beside)):
            axes.set(ylabel=label, xticks=range(len(places)), xticklabels=places)
        if varied.number in (share_diverged, share_solved):
            below.set_ylim(-0.05, 1.05)
        below.set_xlabel(varied.label)
        legend_below(figure, above)
    return render(figure)


def _line(axes: Axes, points: dict[float, Interval], number: int, label: str) -> None:
    """Means with their intervals, from left to right."""
    places = sorted(points)
    means = np.array([points[x].mean for x in places])
    bars = np.array([[points[x].mean - points[x].low, points[x].high - points[x].mean] for x in places]).T
    axes.errorbar(places, means, np.nan_to_num(np.maximum(bars, 0)), lw=1.2, capsize=3, label=label, **look(number))
