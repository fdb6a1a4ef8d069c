"""Gradient flow of one task: by lag with arms overlaid, and by lag and update."""

import numpy as np
import pandas as pd

from study.analysis.diagnosis.thresholds import EXPLODED, VANISHED
from study.figures.flow import CEILING, FLOOR, add_colour_bar, draw_flow_by_lag, draw_flow_map, share_range, shares
from study.figures.limits import mark_leaving
from study.figures.style import Curve, legend_below, line_style, panels, set_title
from study.report.data.comparison import Comparison
from study.report.data.histories import load_all, load_flow
from study.report.data.wording import format_span
from study.report.figures.arms import OVERLAID, choose, measured_when
from study.report.figures.gradients import PANELS
from study.report.figures.picture import Picture, count_of

LACKING = "the flow was not measured"
MOMENTS = {"first": "first measured", "midway": "midway", "last": "last measured"}
"""Of a run with at least three measurements: the first, the middle and the last; of others the last."""

FLOW = (
    "Norm of the gradient of one step's loss with respect to the memory (c of an LSTM, else h) of all layers k steps "
    "earlier, divided by its value at k = 0."
)
SHADED = (
    f"Shaded: below {VANISHED:.0%} (vanishing, if so at the horizon of the task) and above {EXPLODED:g} times "
    "(exploding)."
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
    arms, missing = choose(comparison, set(data["arm"]), OVERLAID, LACKING)
    moments = pd.concat([_moments(run) for _, run in data[data["arm"].isin(arms)].groupby("run_id")])
    titles = [moment for moment in MOMENTS if moment in set(moments["moment"])]
    low, high = share_range([shares(moments["log_share"])], VANISHED)
    with panels(len(titles), height=3.4) as (figure, grid):
        for axes, moment in zip(grid, titles, strict=True):
            here = moments[moments["moment"] == moment]
            draw_flow_by_lag(axes, _flow_curves(here, comparison), task_horizon(comparison), (VANISHED, EXPLODED))
            set_title(axes, f"{MOMENTS[moment]} ({_span(comparison, here)})", len(titles))
        grid[0].set_ylim(max(low, FLOOR), min(high, CEILING))
        for axes, moment in zip(grid, titles, strict=True):
            mark_leaving(axes, _flow_curves(moments[moments["moment"] == moment], comparison, beyond=True))
        legend_below(figure)
    last = moments[moments["moment"] == "last"].groupby("run_id")["update"].max()
    return Picture(
        f"{comparison.task}-flow-over-lag",
        "Gradient flow: how far back the loss of one step reaches",
        f"{FLOW} One line for each of {count_of(moments['run_id'].nunique(), 'run')}. {SHADED} A triangle marks where "
        f"a line leaves the panel.{measured_when(comparison, last)}{missing}",
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
    shown, missing = choose(comparison, set(data.loc[several, "arm"]), PANELS, "measured fewer than three times")
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
        f"mean over the runs of each arm, {count_of(data['run_id'].nunique(), 'run')} in all. "
        f"Grey: not finite. Dotted line: the horizon of the task.{missing}",
        figure,
        data,
    )


def _moments(run: pd.DataFrame) -> pd.DataFrame:
    """The profiles of a run to be drawn, with the column `moment`; see `MOMENTS`."""
    updates = sorted(run["update"].unique())
    chosen = {"first": updates[0], "midway": updates[len(updates) // 2], "last": updates[-1]}
    moments = list(MOMENTS) if len(updates) > 2 else ["last"]
    return pd.concat([run[run["update"] == chosen[moment]].assign(moment=moment) for moment in moments])


def _flow_curves(moment: pd.DataFrame, comparison: Comparison, beyond: bool = False) -> list[Curve]:
    """A curve for each run, styled by its arm, within what is drawn; or all of it, `beyond` that too."""
    curves = []
    for run, profile in moment.groupby("run_id"):
        arm = str(profile["arm"].iloc[0])
        with np.errstate(over="ignore"):
            values = np.exp(profile["log_share"]) if beyond else shares(profile["log_share"])
        curves.append(Curve(profile["lag"], values, arm, line_style(comparison.place(arm)), str(run)))
    return sorted(curves, key=lambda curve: comparison.place(curve.label))


def _mean_flow(data: pd.DataFrame) -> pd.DataFrame:
    """Mean over runs of the logarithm of the share as drawn: a row for each update, a column for each lag."""
    drawn = data.assign(log_share=np.log(shares(data["log_share"])))
    return drawn.groupby(["update", "lag"])["log_share"].mean().unstack()


def _span(comparison: Comparison, moment: pd.DataFrame) -> str:
    """The updates at which the profiles were measured, those of runs that diverged apart from the others."""
    updates = moment.groupby("run_id")["update"].max()
    early = comparison.runs.loc[updates.index, "outcome"] == "diverged"
    whole, ended = [int(n) for n in updates[~early]], [int(n) for n in updates[early]]
    if not whole or set(ended) <= set(whole):
        return format_span(whole + ended)
    return f"{format_span(whole)}; diverged runs: {format_span(ended)}"


def task_horizon(comparison: Comparison) -> int | None:
    """The lag at which the task needs the past; None where its runs differ in it."""
    stated = comparison.runs.get("params.task.horizon")
    return int(stated.iloc[0]) if stated is not None and stated.nunique() == 1 else None
