"""The measure of a task, and a second number below it, against a parameter that the study varied."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from study.figures.limits import spans_decades
from study.figures.style import (
    GUIDE,
    INK,
    OPPONENT,
    colour,
    draw_guide,
    legend_below,
    line_style,
    marker,
    panels,
    tag_run,
)
from study.report.data.comparison import Comparison, same, worth
from study.report.data.opponents import hardest
from study.report.data.runs import configurations
from study.report.data.statistics import Interval, mean_interval, share_interval
from study.report.figures.abscissa import Abscissa
from study.report.figures.answers import NAIVE
from study.report.figures.arms import OVERLAID, left_out
from study.report.figures.picture import Picture, count_of
from study.schema.arm_names import name_arms
from study.tracking.outcomes import LOST


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
    return mean_interval((1000 * runs["seconds"] / runs["updates"]).dropna().to_numpy(float)).within(0.0, math.inf)


def mean_of(column: str, most: float = math.inf) -> Callable[[pd.DataFrame], Interval]:
    """A function for the mean over runs of a column whose values lie between 0 and `most`."""
    return lambda runs: mean_interval(runs[column].dropna().to_numpy(float)).within(0.0, most)


def share_solved(runs: pd.DataFrame) -> Interval:
    """Share of the runs that solve their task; of older versions, which did not record it, that is not known."""
    known = runs.loc[runs["solved"] != "", "solved"]
    return share_interval(int((known == "True").sum()), len(known))


TIME = Beside("milliseconds\nper update", milliseconds)
MEMORY = Beside("megabytes kept\nfor an update", mean_of("megabytes"))
DESTROYED = Beside("share of runs that\ndiverged or were ruined", share_lost, share=True)
SCALE = Beside("median gradient\nnorm", mean_of("norm_median"))
CLIPPED = Beside("share of updates\nclipped", mean_of("clipped", most=1.0), share=True)
SUCCESS = Beside("share of runs\nthat solve it", share_solved, share=True)
VARIED = (
    Varied("optimizer.lr", "learning rate", "?", (), (DESTROYED,)),
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
    looks = _looks(comparison, data)
    series, more = list(looks)[:OVERLAID], list(looks)[OVERLAID:]
    alone = [arm for arm in comparison.arms if arm not in set(data["arm"])]
    missing = left_out({"one value only": alone, f"not among the best {OVERLAID}": more})
    data = data[data["series"].isin(series)]
    beside = [beside for beside in varied.beside if beside.number(data).seeds]
    below = " and ".join(number.label.replace("\n", " ") for number in beside)
    abscissa = Abscissa.of(data["place"])
    return Picture(
        f"{comparison.task}-against-{varied.key.replace('.', '-')}",
        f"{comparison.measure} against {varied.label}",
        f"Top: {comparison.measure} on the test split, each run that was not lost (dots) and their mean (larger). "
        f"Below: {below}. {count_of(len(data), 'run')}; arms that differ in nothing else have the colour of the best "
        "of them. Bars: 95% intervals over seeds, Wilson's for shares, Student's t for means; none where there is one "
        f"seed. {abscissa.explained}{missing}",
        _draw(comparison, data, varied.label, beside, abscissa, {name: looks[name] for name in series}),
        data.reset_index().drop(columns=["counts", "error"]),
    )


def _looks(comparison: Comparison, data: pd.DataFrame) -> dict[str, int]:
    """The place of the best arm of every series, the best series first."""
    best = data["arm"].map(comparison.place).groupby(data["series"]).min().sort_values()
    return {str(series): int(place) for series, place in best.items()}


def _with_places(comparison: Comparison, runs: pd.DataFrame, varied: Varied) -> pd.DataFrame:
    """The runs with `place`, the value of the parameter, and `series`, the name of their arm without it."""
    values, arms = comparison.runs[f"params.{varied.key}"], configurations(comparison.runs)
    hidden = {varied.key, *varied.implied, *comparison.tuned, *_follow(varied.key, arms)}
    kept = {arm: {key: value for key, value in mine.items() if key not in hidden} for arm, mine in arms.items()}
    place = values.where(values.notna() & (values != "None"), varied.missing)
    return runs.assign(place=place, series=comparison.runs["arm"].map(name_arms(kept)))


def _follow(key: str, arms: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Keys of the same group in which all arms agree that have them: some values of `key` leave them no meaning."""
    distinct, group = pd.DataFrame(arms).T.nunique(), f"{key.partition('.')[0]}."
    return [str(other) for other, values in distinct.items() if values == 1 and str(other).startswith(group)]


def _draw(
    comparison: Comparison,
    data: pd.DataFrame,
    label: str,
    beside: list[Beside],
    abscissa: Abscissa,
    looks: Mapping[str, int],
) -> Figure:
    with panels(1 + len(beside), 1, height=2.0, sharey=False) as (figure, (top, *lower)):
        for (name, place), shift in zip(looks.items(), abscissa.beside(len(looks)), strict=True):
            mine = data[data["series"] == name]
            mine = mine.assign(x=mine["place"].map(abscissa.at) + shift)
            _draw_runs(top, mine, colour(place))
            for axes, number in (
                (top, _mean_worth(comparison)),
                *((a, o.number) for a, o in zip(lower, beside, strict=True)),
            ):
                _draw_means(axes, mine, number, place, name, abscissa)
        _draw_references(top, comparison, data, abscissa)
        _set_scale(top, worth(data))
        top.set_ylabel(f"{comparison.measure} on test")
        for axes, other in zip(lower, beside, strict=True):
            axes.set(ylabel=other.label, **({"ylim": (-0.05, 1.05)} if other.share else {}))
            _set_scale(
                axes, [] if other.share else [y for line in axes.get_lines() for y in np.ravel(line.get_ydata())]
            )
        for axes in (top, *lower):
            abscissa.label(axes)
        (top, *lower)[-1].set_xlabel(label)
        legend_below(figure)
    return figure


def _mean_worth(comparison: Comparison) -> Callable[[pd.DataFrame], Interval]:
    return lambda runs: comparison.interval(worth(runs))


def _set_scale(axes: Axes, values: ArrayLike) -> None:
    """A logarithmic ordinate where values span decades."""
    if spans_decades(values):
        axes.set_yscale("log")


def _draw_references(axes: Axes, comparison: Comparison, data: pd.DataFrame, abscissa: Abscissa) -> None:
    """Lines at the naive guess and at the best opponent, one where they are the same.

    Where the parameter decides the task, such as a delay, every value of it has a guess of its own.
    """
    opponent, guess = hardest(comparison), comparison.baseline
    if opponent is not None:
        draw_guide(axes, opponent[1], opponent[0], style=OPPONENT)
    if not math.isnan(guess) and (opponent is None or not math.isclose(opponent[1], guess)):
        draw_guide(axes, guess, NAIVE)
    if math.isnan(guess) and data["baseline"].notna().any():
        guesses = data.groupby(data["place"].map(abscissa.at))["baseline"].agg(same)
        axes.plot(guesses.index, guesses, color=INK, label=NAIVE, **GUIDE)


def _draw_runs(axes: Axes, runs: pd.DataFrame, shade: str) -> None:
    for run, x, value in zip(runs.index, runs["x"], worth(runs), strict=True):
        tag_run(str(run), axes.plot(x, value, "o", ms=3.5, alpha=0.5, color=shade, mew=0))


def _draw_means(
    axes: Axes,
    runs: pd.DataFrame,
    number: Callable[[pd.DataFrame], Interval],
    index: int,
    label: str,
    abscissa: Abscissa,
) -> None:
    """Means with their intervals, from left to right; lines join those at numbers."""
    style = line_style(index)
    at_number = runs["place"].isin(abscissa.numbers)
    for part, look in ((runs[at_number], style), (runs[~at_number], style | {"ls": "none"})):
        if part.empty:
            continue
        points = {float(str(x)): number(cell) for x, cell in part.groupby("x")}
        means = np.array([point.mean for point in points.values()])
        bars = np.array([_bar(point) for point in points.values()]).reshape(-1, 2).T
        axes.errorbar([*points], means, bars, fmt=marker(index), ms=5, lw=1.2, capsize=3, label=label, **look)


def _bar(point: Interval) -> tuple[float, float]:
    """How far an interval reaches below and above its mean; nothing where there is none."""
    if point.seeds < 2:
        return 0.0, 0.0
    return max(0.0, point.mean - point.low), max(0.0, point.high - point.mean)
