"""Figures across the runs of a task: what a probe measured in each run when it measured last."""

import numpy as np
import pandas as pd

from study.figures.style import GUIDE, INK, Curve, colour, legend_below, line_style, marker, panels, tag_run
from study.figures.truncation import draw_truncation_cosine, draw_truncation_error
from study.report.data.comparison import Comparison
from study.report.data.histories import load_all, load_truncation
from study.report.data.wording import format_span
from study.report.figures.arms import OVERLAID, choose, measured_when
from study.report.figures.picture import Picture, count_of


def decay_against_exponent(comparison: Comparison, flow: pd.DataFrame) -> Picture | None:
    """The measured rate of decay of the flow against the largest Lyapunov exponent, which should predict it.

    Args:
        comparison: of the task.
        flow: of its runs, for when it was measured last; see `study.report.figures.flow`.
    """
    finite = np.isfinite(comparison.runs[["decay", "lyapunov"]].to_numpy(float)).all(axis=1)
    measured = comparison.runs.loc[finite]
    if measured.empty:
        return None
    arms, missing = choose(comparison, set(measured["arm"]), OVERLAID, "not measured, or not finite")
    measured = measured[measured["arm"].isin(arms)]
    last = flow.groupby("run_id")["update"].max() if len(flow) else pd.Series(dtype=int)
    last = last[last.index.isin(measured.index)]
    ends = measured[["decay", "lyapunov"]].to_numpy()
    with panels(1, height=4.2) as (figure, (axes,)):
        figure.set_size_inches(6, 5)
        axes.plot([ends.min(), ends.max()], [ends.min(), ends.max()], color=INK, label="equal", **GUIDE)
        for arm in arms:
            mine, place = measured[measured["arm"] == arm], comparison.place(arm)
            for run, decay, exponent in zip(mine.index, mine["decay"], mine["lyapunov"], strict=True):
                dot = axes.plot(exponent, decay, marker(place), ms=5, color=colour(place), label=arm)
                tag_run(str(run), dot)
        axes.set(xlabel="largest Lyapunov exponent (nats a step)", ylabel="decay of the flow (nats a step)")
        legend_below(figure)
    return Picture(
        f"{comparison.task}-decay-against-exponent",
        "Decay of the gradient, predicted and measured",
        "Slope of the logarithm of the gradient norm against the lag, and the largest Lyapunov exponent of the "
        f"trajectory, both as last measured; one dot for each of {count_of(len(measured), 'run')}. They agree on the "
        "dotted line. Few lags and non-normal weights make them differ."
        f"{measured_when(comparison, last)}{missing}",
        figure,
        measured.reset_index()[["run_id", "arm", "seed", "decay", "lyapunov"]],
    )


def truncation_bias(comparison: Comparison) -> Picture | None:
    """How far truncated gradients are from the full one, by k2, as last measured."""
    data = load_all(comparison.runs, load_truncation)
    if data.empty:
        return None
    last = data.loc[data["update"] == data.groupby("run_id")["update"].transform("max")]
    arms, missing = choose(comparison, set(last["arm"]), OVERLAID, "not measured")
    last = last[last["arm"].isin(arms)]
    with panels(2, 2, height=3.4, sharey=False) as (figure, (left, right)):
        draw_truncation_error(left, _by_k2(last, "error", comparison))
        draw_truncation_cosine(right, _by_k2(last, "cosine", comparison))
        legend_below(figure)
    return Picture(
        f"{comparison.task}-truncation-bias",
        "Truncation bias",
        "Gradient of one fixed batch, truncated after k2 steps, compared with that of full backpropagation, by the "
        f"weights after {format_span([int(n) for n in last['update']])}. Thin: "
        f"{count_of(last['run_id'].nunique(), 'run')}, one line each; thick: mean of each arm, without an interval. "
        "Error 0 and cosine 1: nothing is lost."
        f"{measured_when(comparison, last.groupby('run_id')['update'].max())}{missing}",
        figure,
        last,
    )


def _by_k2(data: pd.DataFrame, column: str, comparison: Comparison) -> list[Curve]:
    """A thin curve for each run, a thick one for the mean of each arm."""
    curves = []
    for arm in sorted(set(data["arm"]), key=comparison.place):
        mine, style = data[data["arm"] == arm], line_style(comparison.place(arm))
        thin = {"color": style["color"], "lw": 0.8, "alpha": 0.4, "marker": ""}
        curves += [Curve(run["k2"], run[column], "", thin, str(name)) for name, run in mine.groupby("run_id")]
        mean = mine.groupby("k2")[column].mean()
        curves.append(Curve(mean.index, mean, arm, style))
    return curves
