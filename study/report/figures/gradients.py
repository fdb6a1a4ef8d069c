"""Figures of the gradients of one task: norms over updates, flow by lag, flow by lag and update."""

import numpy as np
import pandas as pd

from study.analysis.diagnosis.thresholds import EXPLODED, VANISHED
from study.figures.flow import add_colour_bar, draw_flow_by_lag, draw_flow_map, share_range, shares
from study.figures.norms import draw_norms, norm_range
from study.figures.style import Curve, legend_below, line_style, log_ordinate, panels, set_title
from study.report.data.comparison import Comparison
from study.report.data.histories import Norms, load_all, load_flow
from study.report.figures.picture import Picture, count_of
from study.tracking.outcomes import FINISHED

PANELS = 24
"""Most arms with a panel of their own: the best ones."""
OVERLAID = 12
"""Most arms in one panel: the best ones."""
MOMENTS = {"early": "early in training", "midway": "midway", "end": "end of training"}
"""Of a run with at least three measurements: the first, the middle and the last; of others the last, `end`."""

PANEL_EACH = (
    " One panel for each arm, best first; their common axis fits the completed runs, and diverged ones may leave it."
)
FLOW = (
    "Norm of the gradient of one step's loss with respect to the memory (c of an LSTM, else h) of all layers k steps "
    "earlier, divided by its value at k = 0."
)
SHADED = (
    f"Shaded: below {VANISHED:.0%} (vanishing, if so at the horizon of the task) and above {EXPLODED:g} times "
    "(exploding)."
)


def norm_histories(comparison: Comparison, norms: dict[str, Norms]) -> Picture | None:
    """Gradient norms of every run, one panel for each arm.

    Args:
        comparison: of the task.
        norms: by run id.
    """
    arms = [arm for arm in comparison.arms if set(comparison.arm(arm).index) & set(norms)]
    if not arms:
        return None
    shown = arms[:PANELS]
    drawn = {arm: [run for run in comparison.arm(arm).index if run in norms] for arm in shown}
    with panels(len(shown)) as (figure, grid):
        for axes, (arm, runs) in zip(grid, drawn.items(), strict=True):
            draw_norms(axes, {run: norms[run].history for run in runs}, _threshold(comparison, runs, norms))
            set_title(axes, arm)
        log_ordinate(grid[0], *_common_range(comparison, norms))
        legend_below(figure)
    count = sum(map(len, drawn.values()))
    return Picture(
        f"{comparison.task}-gradient-norms",
        "Gradient norms before and after clipping",
        "2-norm of the gradient of all parameters, at every update of "
        f"{count_of(count, 'run')}{_left_out(shown, arms)}. Blue: before clipping; orange: as the optimizer used it, "
        "where clipping changed it. Lines: median over buckets of consecutive updates, one line for each run; shaded: "
        "from the smallest to the largest norm in the bucket, so no spike is hidden. Crosses: updates whose norm was "
        f"NaN or infinite.{PANEL_EACH if len(shown) > 1 else ''}",
        figure,
        pd.concat([_norm_table(norms[run], run, arm) for arm, runs in drawn.items() for run in runs]),
    )


def flow_data(comparison: Comparison) -> pd.DataFrame:
    """Gradient flow of every run that has it: `run_id`, `arm`, `update`, `lag`, `log_share` in nats."""
    return load_all(comparison.runs, load_flow)


def flow_by_lag(comparison: Comparison, data: pd.DataFrame) -> Picture | None:
    """The share of the gradient left by lag, arms overlaid; one panel for each of `MOMENTS`.

    Args:
        comparison: of the task.
        data: see `flow_data`.
    """
    if data.empty:
        return None
    arms = _arms(comparison, data)
    shown = arms[:OVERLAID]
    moments = pd.concat([_moments(run) for _, run in data[data["arm"].isin(shown)].groupby("run_id")])
    titles = [moment for moment in MOMENTS if moment in set(moments["moment"])]
    with panels(len(titles), height=3.4) as (figure, grid):
        for axes, moment in zip(grid, titles, strict=True):
            here = moments[moments["moment"] == moment]
            draw_flow_by_lag(axes, _flow_curves(here, shown), task_horizon(comparison), (VANISHED, EXPLODED))
            axes.set_title(f"{MOMENTS[moment]} ({_span(here)})")
        grid[0].set_ylim(share_range([shares(moments["log_share"])], VANISHED))
        legend_below(figure)
    return Picture(
        f"{comparison.task}-flow-over-lag",
        "Gradient flow: how far back the loss of one step reaches",
        f"{FLOW} One line for each of {count_of(moments['run_id'].nunique(), 'run')}{_left_out(shown, arms)}. {SHADED}",
        figure,
        moments,
    )


def flow_over_training(comparison: Comparison, data: pd.DataFrame) -> Picture | None:
    """Flow as a heat map, lag by update, one panel for each arm: when gradients start or stop reaching back.

    Args:
        comparison: of the task.
        data: see `flow_data`; runs with fewer than three measurements are left out.
    """
    if data.empty or not (several := data.groupby("run_id")["update"].transform("nunique") > 2).any():
        return None
    arms = _arms(comparison, data[several])
    shown = arms[:PANELS]
    data = data[several & data["arm"].isin(shown)]
    with panels(len(shown)) as (figure, grid):
        for axes, arm in zip(grid, shown, strict=True):
            mean = _mean_flow(data[data["arm"] == arm])
            image = draw_flow_map(axes, mean.to_numpy(), list(mean.index), task_horizon(comparison))
            set_title(axes, arm)
        add_colour_bar(image, grid)
    return Picture(
        f"{comparison.task}-flow-over-training",
        "Gradient flow over training",
        "log10 of the share of the gradient that is left k steps back, one column for each update it was measured at; "
        f"mean over the runs of each arm, {count_of(data['run_id'].nunique(), 'run')} in all{_left_out(shown, arms)}. "
        "Grey: not finite. Dotted line: the horizon of the task.",
        figure,
        data,
    )


def _threshold(comparison: Comparison, runs: list[str], norms: dict[str, Norms]) -> float | None:
    """The clipping threshold of an arm, if it bounds the norm of the gradient: one on its components does not."""
    if "params.clip.threshold" not in comparison.runs:
        return None
    threshold = float(pd.to_numeric(comparison.runs.loc[runs, "params.clip.threshold"]).iloc[0])
    largest = max(np.nan_to_num(norms[run].history.after).max() for run in runs)
    return threshold if largest <= 1.001 * threshold else None


def _common_range(comparison: Comparison, norms: dict[str, Norms]) -> tuple[float, float]:
    """The range of the norms of runs that did not diverge; of all runs where all did."""
    completed = comparison.runs.index[comparison.runs["outcome"].isin(FINISHED)]
    found = [norms[run].history for run in completed if run in norms]
    return norm_range(found or [run.history for run in norms.values()])


def _norm_table(norms: Norms, run: str, arm: str) -> pd.DataFrame:
    """The buckets of a run: one row each."""
    history = norms.history
    columns = {
        f"{when}_{name}": envelope[row]
        for when, envelope in (("before", history.before), ("after", history.after))
        for row, name in enumerate(("smallest", "median", "largest"))
    }
    return pd.DataFrame({"run_id": run, "arm": arm, "update": history.updates, **columns})


def _arms(comparison: Comparison, data: pd.DataFrame) -> list[str]:
    """The arms with data, best first."""
    found = set(data["arm"])
    return [arm for arm in comparison.arms if arm in found]


def _moments(run: pd.DataFrame) -> pd.DataFrame:
    """The profiles of a run to be drawn, with the column `moment`; see `MOMENTS`."""
    updates = sorted(run["update"].unique())
    chosen = {"early": updates[0], "midway": updates[len(updates) // 2], "end": updates[-1]}
    moments = list(MOMENTS) if len(updates) > 2 else ["end"]
    return pd.concat([run[run["update"] == chosen[moment]].assign(moment=moment) for moment in moments])


def _flow_curves(moment: pd.DataFrame, arms: list[str]) -> list[Curve]:
    """A curve for each run, styled by its arm."""
    return [
        Curve(profile["lag"], shares(profile["log_share"]), arm, line_style(place), str(run))
        for place, arm in enumerate(arms)
        for run, profile in moment[moment["arm"] == arm].groupby("run_id")
    ]


def _mean_flow(data: pd.DataFrame) -> pd.DataFrame:
    """Mean over runs of the logarithm of the share as drawn: a row for each update, a column for each lag."""
    drawn = data.assign(log_share=np.log(shares(data["log_share"])))
    return drawn.groupby(["update", "lag"])["log_share"].mean().unstack()


def _span(moment: pd.DataFrame) -> str:
    """The updates at which the profiles were measured."""
    first, last = moment["update"].min(), moment["update"].max()
    return f"update {first}" if first == last else f"updates {first} to {last}"


def task_horizon(comparison: Comparison) -> int | None:
    """The lag at which the task needs the past; None where its runs differ in it."""
    stated = comparison.runs.get("params.task.horizon")
    return int(stated.iloc[0]) if stated is not None and stated.nunique() == 1 else None


def _left_out(shown: list[str], arms: list[str]) -> str:
    return f" (only the best {len(shown)} of {len(arms)} arms)" if len(shown) < len(arms) else ""
