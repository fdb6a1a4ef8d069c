"""Figures of a search: the best value against the number of trials, and the value against every tuned key."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from study.figures.style import colour, legend_below, line_style, marker, panels, tag_run
from study.report.data.statistics import expected_best
from study.report.data.trials import Axis, Search
from study.report.figures.picture import Picture
from study.tracking.outcomes import FINISHED


def budget(search: Search) -> Picture:
    """The best value so far, and the expected best of n trials, against the number of trials."""
    data = pd.concat([_budget(search, arm) for arm in search.arms], ignore_index=True)
    with panels(2, 2, height=3.0, sharey=False) as (figure, (left, right)):
        for arm in search.arms:
            mine, place = data[data["arm"] == arm], search.place(arm)
            for x, run, value in zip(mine["trials"], mine["run_id"], mine["value"], strict=True):
                tag_run(str(run), left.plot(x, value, marker(place), ms=3.5, alpha=0.6, color=colour(place)))
            left.step(mine["trials"], mine["best_so_far"], where="post", lw=1.6, **line_style(place))
            right.plot(mine["trials"], mine["expected_best"], lw=1.6, label=arm, **line_style(place))
        left.set(title="best so far, and every trial", xlabel="trials started", ylim=_range(search))
        left.set_ylabel(f"{search.measure} on validation")
        right.set(title="expected best of n trials", xlabel="budget n (trials)", ylim=_range(search))
        legend_below(figure)
    return Picture(
        f"{search.task}-budget",
        "What the budget achieved",
        f"Left: {search.measure} on validation of every trial in the order they were started, and the best so far. "
        "Right: the expected best of n trials drawn with replacement from those made (Dodge et al. 2019), which "
        f"compares arms at any budget up to the one spent. {search.counts} Trials far worse than the others lie "
        "outside the panels. No intervals: there is one search for each arm, and trials proposed by TPE are not "
        "independent.",
        figure,
        data,
    )


def slices(search: Search) -> Picture | None:
    """The value of every trial against each tuned key."""
    if not search.axes:
        return None
    with panels(len(search.axes)) as (figure, grid):
        for panel, axis in zip(grid, search.axes, strict=True):
            for arm in search.arms:
                _draw_slice(panel, search, axis, arm)
            _set_abscissa(panel, axis)
            panel.set(ylim=_range(search), ylabel=f"{search.measure} on validation")
        legend_below(figure)
    return Picture(
        f"{search.task}-slices",
        "Each tuned key by itself",
        f"{search.measure} on validation against each key, one marker for each trial: filled if completed, hollow if "
        f"pruned, a cross if diverged. {search.counts} Trials far worse than the others are drawn at the edge. The "
        "other keys vary too: a slice shows where good values were found, not the effect of a key alone.",
        figure,
        search.trials.drop(columns="cause").reset_index(names="run_id"),
    )


def _budget(search: Search, arm: str) -> pd.DataFrame:
    """The trials of an arm in order: `trials` (their number), `value`, `best_so_far`, `expected_best`."""
    mine = search.of(arm)
    best = mine["value"].agg("cummax" if search.maximize else "cummin").ffill()
    expected = expected_best(mine["value"].to_numpy(float), search.maximize)
    columns = {"trials": range(1, len(mine) + 1), "run_id": mine.index, "value": mine["value"].to_numpy()}
    return pd.DataFrame({"arm": arm, **columns, "best_so_far": best.to_numpy(), "expected_best": expected})


def _range(search: Search) -> tuple[float, float]:
    """The range of the better three quarters of the trials, with a little room."""
    values = search.trials["value"].dropna().to_numpy(float)
    if not len(values):
        return 0.0, 1.0
    low, high = np.quantile(values, (0.25, 1.0) if search.maximize else (0.0, 0.75))
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return float(low - room), float(high + room)


def _draw_slice(panel: Axes, search: Search, axis: Axis, arm: str) -> None:
    """The trials of one arm against one key."""
    mine, place = search.of(arm).dropna(subset=[axis.key]), search.place(arm)
    heights = mine["value"].fillna(search.worst).clip(*_range(search))
    for run, x, y, outcome in zip(mine.index, axis.places(mine[axis.key]), heights, mine["outcome"], strict=True):
        form = "x" if outcome == "diverged" else marker(place)
        fill = colour(place) if outcome in FINISHED else "none"
        tag_run(str(run), panel.plot(x, y, form, ms=4.5, color=colour(place), mfc=fill, clip_on=False))
    panel.plot([], [], marker(place), color=colour(place), label=arm)


def _set_abscissa(panel: Axes, axis: Axis) -> None:
    """Label and scale of a key."""
    panel.set_xlabel(axis.key)
    if axis.choices:
        panel.set_xticks(range(len(axis.choices)), axis.choices)
        panel.set_xlim(-0.5, len(axis.choices) - 0.5)
    elif axis.log:
        panel.set_xscale("log")
