"""The measure of a task, and a second number below it, against a parameter that the study varied."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.figures.style import OPPONENT, colour, draw_guide, legend_below, line_style, panels, tag_run
from study.report.data.arm_names import name_arms
from study.report.data.comparison import Comparison, worth
from study.report.data.opponents import hardest
from study.report.data.runs import configurations
from study.report.data.statistics import Interval, mean_interval, share_interval
from study.report.figures.picture import Picture, count_of
from study.tracking.outcomes import LOST

SERIES = 12
"""Most lines in one panel: the first ones."""


class Beside(NamedTuple):
    """A number to be looked at together with the measure.

    Attributes:
        label: of its axis.
        number: of the runs with one value of the parameter.
        share: whether it lies between 0 and 1.
    """

    label: str
    number: Callable[[pd.DataFrame], Interval]
    share: bool = False


class Varied(NamedTuple):
    """A parameter that a study may vary.

    Attributes:
        key: of the configuration.
        label: of the axis.
        missing: name of a run without a value.
        implied: keys that change together with it, so that they do not separate lines.
        beside: numbers drawn below the measure.
    """

    key: str
    label: str
    missing: str
    implied: tuple[str, ...]
    beside: tuple[Beside, ...]


def share_lost(runs: pd.DataFrame) -> Interval:
    """Share of the runs that diverged or were ruined."""
    return share_interval(int(runs["outcome"].isin(LOST).sum()), len(runs))


def milliseconds(runs: pd.DataFrame) -> Interval:
    """Milliseconds an update takes, validation included."""
    return mean_interval((1000 * runs["seconds"] / runs["updates"]).dropna().to_numpy(float))


def mean_of(column: str) -> Callable[[pd.DataFrame], Interval]:
    """A function for the mean of a column over runs."""
    return lambda runs: mean_interval(runs[column].dropna().to_numpy(float))


def share_solved(runs: pd.DataFrame) -> Interval:
    """Share of the runs that solve their task; of older versions, which did not record it, that is not known."""
    known = runs.loc[runs["solved"] != "", "solved"]
    return share_interval(int((known == "True").sum()), len(known))


TIME = Beside("milliseconds\nper update", milliseconds)
MEMORY = Beside("megabytes kept\nfor an update", mean_of("megabytes"))
DESTROYED = Beside("share of runs that\ndiverged or were ruined", share_lost, share=True)
SCALE = Beside("median gradient\nnorm", mean_of("norm_median"))
CLIPPED = Beside("share of updates\nclipped", mean_of("clipped"), share=True)
SUCCESS = Beside("share of runs\nthat solve it", share_solved, share=True)
VARIED = (
    Varied("bptt.k2", "truncation length k2 (steps)", "full", ("bptt.k1",), (TIME, MEMORY)),
    Varied("clip.threshold", "clipping threshold", "no clip", ("clip.name",), (DESTROYED,)),
    Varied("loss.name", "loss", "?", ("loss.over_time",), (SCALE, CLIPPED)),
    Varied("task.seq_len", "sequence length (steps)", "?", ("task.horizon",), (SUCCESS,)),
    Varied("task.delay", "silence (steps)", "?", ("task.horizon",), (SUCCESS,)),
)


def ablation(comparison: Comparison, runs: pd.DataFrame, varied: Varied) -> Picture | None:
    """The measure and other numbers against a parameter; None where fewer than two values were tried.

    Args:
        comparison: of the task.
        runs: its rows of the results.
        varied: the parameter.
    """
    solvable = (comparison.runs["solved"] != "").any()
    if f"params.{varied.key}" not in comparison.runs or (SUCCESS in varied.beside and not solvable):
        return None
    data = _with_places(comparison, runs, varied)
    data = data[data.groupby("series")["place"].transform("nunique") > 1]
    if data.empty:
        return None
    beside = [beside for beside in varied.beside if beside.number(data).seeds]
    below = " and ".join(number.label.replace("\n", " ") for number in beside)
    return Picture(
        f"{comparison.task}-against-{varied.key.replace('.', '-')}",
        f"{comparison.measure} against {varied.label}",
        f"Top: {comparison.measure} on the test split, each run that was not lost (dots) and their mean (lines). "
        f"Below: {below}. {count_of(len(data), 'run')}. Bars: 95% intervals over seeds, Wilson's for shares, Student's "
        "t for means; none where there is one seed. Values of the parameter are evenly spaced.",
        _draw(comparison, data, varied.label, beside),
        data.reset_index().drop(columns=["arm", "counts", "error"]),
    )


def _with_places(comparison: Comparison, runs: pd.DataFrame, varied: Varied) -> pd.DataFrame:
    """The runs with `place`, the value of the parameter, and `series`, the name of their arm without it."""
    values = comparison.runs[f"params.{varied.key}"]
    hidden = (varied.key, *varied.implied)
    kept = {
        arm: {key: value for key, value in configuration.items() if key not in hidden}
        for arm, configuration in configurations(comparison.runs).items()
    }
    place = values.where(values.notna() & (values != "None"), varied.missing)
    return runs.assign(place=place, series=comparison.runs["arm"].map(name_arms(kept)))


def _order(place: str) -> tuple[float, str]:
    """Sorting key: numbers by size, words after them."""
    try:
        return float(place), ""
    except ValueError:
        return math.inf, place


def _draw(comparison: Comparison, data: pd.DataFrame, label: str, beside: list[Beside]) -> Figure:
    places, series = sorted(data["place"].unique(), key=_order), list(dict.fromkeys(data["series"]))[:SERIES]
    with panels(1 + len(beside), 1, height=2.0, sharey=False) as (figure, (top, *lower)):
        for number, name in enumerate(series):
            mine = data[data["series"] == name]
            mine = mine.assign(x=mine["place"].map(places.index) + 0.05 * (number - (len(series) - 1) / 2))
            _draw_runs(top, mine, colour(number))
            _draw_means(top, mine, lambda runs: comparison.interval(worth(runs)), number, name)
            for axes, other in zip(lower, beside, strict=True):
                _draw_means(axes, mine, other.number, number, name)
        _draw_references(top, comparison)
        top.set_ylabel(f"{comparison.measure} on test")
        for axes, other in zip(lower, beside, strict=True):
            axes.set(ylabel=other.label, **({"ylim": (-0.05, 1.05)} if other.share else {}))
        for axes in (top, *lower):
            axes.set_xticks(range(len(places)), places)
        (top, *lower)[-1].set_xlabel(label)
        legend_below(figure)
    return figure


def _draw_references(axes: Axes, comparison: Comparison) -> None:
    """Lines at the naive guess and at the best opponent, one where they are the same."""
    opponent = hardest(comparison)
    if opponent is not None:
        draw_guide(axes, opponent[1], opponent[0], style=OPPONENT)
    if not math.isnan(comparison.baseline) and (opponent is None or not math.isclose(opponent[1], comparison.baseline)):
        draw_guide(axes, comparison.baseline, "naive guess")


def _draw_runs(axes: Axes, runs: pd.DataFrame, colour: str) -> None:
    for run, x, value in zip(runs.index, runs["x"], worth(runs), strict=True):
        tag_run(str(run), axes.plot(x, value, "o", ms=4, alpha=0.5, color=colour))


def _draw_means(
    axes: Axes, runs: pd.DataFrame, number: Callable[[pd.DataFrame], Interval], index: int, label: str
) -> None:  # fmt: skip
    """Means with their intervals, from left to right."""
    points = {float(str(x)): number(cell) for x, cell in runs.groupby("x")}
    means = np.array([point.mean for point in points.values()])
    known = [point if point.seeds > 1 else Interval(point.mean, point.mean, point.mean, 1) for point in points.values()]
    bars = np.array([[point.mean - point.low, point.high - point.mean] for point in known]).T
    axes.errorbar(
        [*points], means, np.nan_to_num(np.maximum(bars, 0)), lw=1.2, capsize=3, label=label, **line_style(index)
    )
