"""Gradient norms of one task over updates, a panel for each arm."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from study.figures.limits import limit, mark_leaving
from study.figures.norms import NormHistory, draw_norms
from study.figures.style import INK, Curve, colour, legend_below, panels, set_title
from study.report.data.comparison import Comparison
from study.report.data.histories import Norms
from study.report.figures.arms import choose
from study.report.figures.picture import Picture, count_of
from study.tracking.outcomes import LOST

PANELS = 24
"""Most arms with a panel of their own: the best ones."""
APPLIED = INK
"""Colour of gradients as applied: before clipping they have the colour of their arm."""


def norm_histories(comparison: Comparison, norms: dict[str, Norms]) -> Picture | None:
    """Gradient norms of every run, one panel for each arm.

    Args:
        comparison: of the task.
        norms: by run id.
    """
    found = set(comparison.runs.loc[comparison.runs.index.isin(list(norms)), "arm"])
    shown, missing = choose(comparison, found, PANELS, "no history was recorded")
    if not shown:
        return None
    drawn = {arm: [run for run in comparison.arm(arm).index if run in norms] for arm in shown}
    with panels(len(shown)) as (figure, grid):
        for axes, (arm, runs) in zip(grid, drawn.items(), strict=True):
            histories = {run: norms[run].history for run in runs}
            colours = colour(comparison.place(arm)), APPLIED
            draw_norms(axes, histories, _threshold(comparison, runs, norms), colours)
            set_title(axes, arm)
        _limit(grid, comparison, norms)
        for axes, (arm, runs) in zip(grid, drawn.items(), strict=True):
            mark_leaving(axes, _largest({run: norms[run].history for run in runs}, colour(comparison.place(arm))))
        legend_below(figure)
    count, each = sum(map(len, drawn.values())), " One panel for each arm, best first." if len(shown) > 1 else ""
    return Picture(
        f"{comparison.task}-gradient-norms",
        "Gradient norms before and after clipping",
        f"2-norm of the gradient of all parameters, at every update of {count_of(count, 'run')}. In the colour of the "
        "arm: before clipping; in that of the text: as the optimizer used it, where clipping changed it. Lines: median "
        "over buckets of consecutive updates, one line for each run; shaded: from the smallest to the largest norm in "
        "the bucket, so no spike is hidden. Crosses: updates whose norm was NaN or infinite. The axis is made for the "
        "runs that were not lost; a triangle marks where another leaves its panel, with how far it goes."
        f"{each}{missing}",
        figure,
        pd.concat([_norm_table(norms[run], run, arm) for arm, runs in drawn.items() for run in runs]),
    )


def _limit(grid: list[Axes], comparison: Comparison, norms: dict[str, Norms]) -> None:
    """One ordinate for all panels, made for the runs that were not lost."""
    lost = comparison.runs["outcome"].isin(LOST)
    kept, others = (_norms_of(comparison.runs.index[which], norms) for which in (~lost, lost))
    limit(grid[0], kept, others, [])


def _norms_of(runs: pd.Index, norms: dict[str, Norms]) -> np.ndarray:
    """All norms drawn of some runs."""
    drawn = [np.ravel([norms[run].history.before, norms[run].history.after]) for run in runs if run in norms]
    return np.concatenate([[], *drawn])


def _largest(histories: dict[str, NormHistory], shade: str) -> list[Curve]:
    """The largest norms of every bucket, run by run."""
    return [Curve(found.updates, found.before[2], "", {"color": shade}, run) for run, found in histories.items()]


def _threshold(comparison: Comparison, runs: list[str], norms: dict[str, Norms]) -> float | None:
    """The clipping threshold of an arm, if it bounds the norm of the gradient: one on its components does not."""
    if "params.clip.threshold" not in comparison.runs:
        return None
    threshold = float(pd.to_numeric(comparison.runs.loc[runs, "params.clip.threshold"]).iloc[0])
    largest = max(np.nan_to_num(norms[run].history.after).max() for run in runs)
    return threshold if largest <= 1.001 * threshold else None


def _norm_table(norms: Norms, run: str, arm: str) -> pd.DataFrame:
    """The buckets of a run: one row each."""
    history = norms.history
    columns = {
        f"{when}_{name}": envelope[row]
        for when, envelope in (("before", history.before), ("after", history.after))
        for row, name in enumerate(("smallest", "median", "largest"))
    }
    return pd.DataFrame({"run_id": run, "arm": arm, "update": history.updates, **columns})
