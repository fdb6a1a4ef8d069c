"""Pictures of a search: what its budget brought, and every tuned key by itself."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from study.figures.style import Marks, Picture, colour, legend_below, line_style, marker, panels, render, styled
from study.report.data.statistics import expected_best
from study.report.data.trials import Axis, Search


def budget(search: Search) -> Picture:
    """Best so far, and the expected best of so many trials, against their number."""
    figure, (left, right) = panels(2, 2, height=3.0, sharey=False)
    data, marks = pd.concat([_budget(search, arm) for arm in search.arms], ignore_index=True), Marks()
    with styled():
        for place, arm in enumerate(search.arms):
            mine = data[data["arm"] == arm]
            for x, run, value in zip(mine["trials"], mine["run_id"], mine["value"], strict=True):
                marks(str(run), left.plot(x, value, marker(place), ms=3.5, alpha=0.6, color=colour(place)))
            left.step(mine["trials"], mine["best_so_far"], where="post", lw=1.6, **line_style(place))
            right.plot(mine["trials"], mine["expected_best"], lw=1.6, label=arm, **line_style(place))
        left.set(title="best so far, and every trial", xlabel="trials begun", ylim=_range(search))
        left.set_ylabel(f"{search.measure} on validation")
        right.set(title="expected best of so many trials", xlabel="budget (trials)", ylim=_range(search))
        legend_below(figure, right)
    return Picture(
        f"{search.task}-budget",
        "What the budget brought",
        f"Left: {search.measure} on validation of every trial in the order they were begun, and the best up to there. "
        "Right: the expected best of n trials drawn from those made, with replacement (Dodge et al. 2019), which "
        f"compares arms at any budget up to that spent. {search.told} Trials far worse than the others leave the "
        "panels. No intervals: this is one search an arm, and trials that TPE proposes are not independent draws.",
        render(figure),
        data,
    )


def slices(search: Search) -> Picture | None:
    """The measure against every tuned key by itself."""
    if not search.axes:
        return None
    figure, grid = panels(len(search.axes))
    marks = Marks()
    with styled():
        for panel, axis in zip(grid, search.axes, strict=True):
            for place in range(len(search.arms)):
                _slice(panel, search, axis, place, marks)
            _scale(panel, axis)
            panel.set_ylim(_range(search))
        grid[0].set_ylabel(f"{search.measure} on validation")
        legend_below(figure, grid[0])
    return Picture(
        f"{search.task}-slices",
        "Every tuned key by itself",
        f"{search.measure} on validation against each key, one mark a trial: filled where it was completed, hollow "
        f"where it was pruned, a cross where it diverged. {search.told} Trials far worse than the others are drawn at "
        "the edge. The other keys vary too, so a slice shows where good values were found, not what a key does alone.",
        render(figure),
        search.trials.drop(columns="cause").reset_index(names="run_id"),
    )


def _budget(search: Search, arm: str) -> pd.DataFrame:
    mine = search.of(arm)
    best = mine["value"].agg("cummax" if search.maximize else "cummin").ffill()
    expected = expected_best(mine["value"].to_numpy(float), search.maximize)
    columns = {"trials": range(1, len(mine) + 1), "run_id": mine.index, "value": mine["value"].to_numpy()}
    return pd.DataFrame({"arm": arm, **columns, "best_so_far": best.to_numpy(), "expected_best": expected})


def _range(search: Search) -> tuple[float, float]:
    """The ordinates of the better three quarters of the trials, with a little room."""
    values = search.trials["value"].dropna().to_numpy(float)
    if not len(values):
        return 0.0, 1.0
    low, high = np.quantile(values, (0.25, 1.0) if search.maximize else (0.0, 0.75))
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    return float(low - room), float(high + room)


def _slice(panel: Axes, search: Search, axis: Axis, place: int, marks: Marks) -> None:
    """The trials of one arm against one key."""
    mine = search.of(search.arms[place]).dropna(subset=[axis.key])
    heights = mine["value"].fillna(search.worst).clip(*_range(search))
    for run, x, y, outcome in zip(mine.index, axis.places(mine[axis.key]), heights, mine["outcome"], strict=True):
        form = "x" if outcome == "diverged" else marker(place)
        fill = colour(place) if outcome == "completed" else "none"
        marks(str(run), panel.plot(x, y, form, ms=4.5, color=colour(place), mfc=fill, clip_on=False))
    panel.plot([], [], marker(place), color=colour(place), label=search.arms[place])


def _scale(panel: Axes, axis: Axis) -> None:
    """The abscissa of a key."""
    panel.set_xlabel(axis.key)
    if axis.choices:
        panel.set_xticks(range(len(axis.choices)), axis.choices)
        panel.set_xlim(-0.5, len(axis.choices) - 0.5)
    elif axis.log:
        panel.set_xscale("log")
