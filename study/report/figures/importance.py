"""Figures of a search: which tuned keys matter, alone and in pairs, and which of their values go together."""

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from study.figures.style import INK, SEQUENTIAL, colour, panels, set_title, tag_run
from study.report.data.importance import Importance
from study.report.data.trials import Axis, Search
from study.report.figures.picture import Picture


def importances(search: Search, by_arm: Mapping[str, Importance | str]) -> Picture | None:
    """The share of the variance of the trials that each key explains alone, and each pair beyond that.

    Args:
        search: of one task.
        by_arm: see `study.report.data.importance.importances_by_arm`.
    """
    shown = {arm: found for arm, found in by_arm.items() if isinstance(found, Importance)}
    if not shown:
        return None
    with panels(len(shown), height=3.2, sharey=False) as (figure, grid):
        for panel, (arm, shares) in zip(grid, shown.items(), strict=True):
            _draw_matrix(panel, shares, [axis.label for axis in search.axes_of(arm)])
            set_title(panel, f"{arm} ({len(search.of(arm))} trials, R² {shares.fit:.2f})")
    return Picture(
        f"{search.task}-importance",
        "Which keys matter",
        "Functional ANOVA (Hutter et al. 2014) of a random forest that predicts the rank of a trial within its arm "
        "from its tuned values, over the range tried. Diagonal: share of the variance that a key explains alone; off "
        "it: what a pair explains beyond its two keys; the rest are interactions of three and more. R²: of the forest "
        f"on trials it was not fitted to; the smaller, the less the shares mean. {search.counts}",
        figure,
        pd.concat([_share_table(search, arm, shares) for arm, shares in shown.items()], ignore_index=True),
    )


def parallel_coordinates(search: Search) -> Picture | None:
    """Each trial as a line through its tuned values."""
    arms = [arm for arm in search.arms if search.axes_of(arm)]
    if not arms:
        return None
    with panels(len(arms), 1, height=2.6, sharey=False) as (figure, grid):
        for panel, arm in zip(grid, arms, strict=True):
            _draw_trials(panel, search, arm, colour(search.place(arm)))
    return Picture(
        f"{search.task}-parallel-coordinates",
        "Which values go together",
        "Parallel coordinates: one line for each trial, through its tuned values to its rank within the arm by "
        f"{search.measure} on validation; the better, the stronger the line. {search.counts}",
        figure,
        search.trials.drop(columns="cause").reset_index(names="run_id"),
    )


def _draw_matrix(panel: Axes, found: Importance, labels: list[str]) -> None:
    """Shares as the lower half of a matrix of keys by keys."""
    shown = np.where(np.tri(len(labels), dtype=bool), found.shares, np.nan)
    panel.imshow(shown, cmap=SEQUENTIAL, vmin=0, vmax=1, interpolation="nearest")
    for i, j in itertools.combinations_with_replacement(range(len(labels)), 2):
        ink = "#000000" if found.shares[i, j] > 0.5 else "#ffffff"
        panel.text(i, j, f"{found.shares[i, j]:.0%}", ha="center", va="center", color=ink)
    panel.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    panel.set_yticks(range(len(labels)), labels)
    panel.grid(visible=False)


def _share_table(search: Search, arm: str, found: Importance) -> pd.DataFrame:
    """The matrix as a table: one row for each key and each pair."""
    keys = [axis.key for axis in search.axes_of(arm)]
    rows = [
        {"arm": arm, "key": keys[i], "with": "" if i == j else keys[j], "share": found.shares[i, j], "r2": found.fit}
        for i, j in itertools.combinations_with_replacement(range(len(keys)), 2)
    ]
    return pd.DataFrame(rows)


def _draw_trials(panel: Axes, search: Search, arm: str, shade: str) -> None:
    """The trials of one arm, the worst first, so that the best are on top."""
    axes, mine, ranks = search.axes_of(arm), search.of(arm), search.ranks(arm)
    heights = np.stack([*(axis.unit(mine[axis.key]) for axis in axes), 1 - ranks], axis=1)
    for trial in np.argsort(-ranks, kind="stable"):
        strength = 0.2 + 0.8 * (1 - ranks[trial]) ** 3
        tag_run(str(mine.index[trial]), panel.plot(heights[trial], color=shade, lw=0.8 + strength, alpha=strength))
    panel.vlines(range(len(axes) + 1), 0, 1, color=INK, lw=1)
    last = f"rank by {search.measure}\nworst to best"
    panel.set_xticks(range(len(axes) + 1), [*map(_ends, axes), last])
    panel.set(title=arm, yticks=[], ylim=(-0.02, 1.02))
    panel.spines[["left", "bottom"]].set_visible(False)
    panel.grid(visible=False)


def _ends(axis: Axis) -> str:
    """What a vertical axis stands for: key and values, from bottom to top."""
    ends = ", ".join(axis.choices) if axis.choices else f"{axis.low:.3g} to {axis.high:.3g}"
    return f"{axis.label}\n{ends}{' (log)' if axis.log else ''}"
