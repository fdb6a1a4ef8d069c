"""Figures across the runs of a task: what a probe measured in each run at the end of training."""

import numpy as np
import pandas as pd

from study.figures.style import GUIDE, INK, Curve, colour, legend_below, line_style, marker, panels, tag_run
from study.figures.truncation import draw_truncation_cosine, draw_truncation_error
from study.report.data.comparison import Comparison
from study.report.data.histories import load_all, load_truncation
from study.report.figures.picture import Picture, count_of

SERIES = 12
"""Most arms in one panel: the best ones."""


def decay_against_exponent(comparison: Comparison) -> Picture | None:
    """The measured rate of decay of the flow against the largest Lyapunov exponent, which should predict it."""
    finite = np.isfinite(comparison.runs[["decay", "lyapunov"]].to_numpy(float)).all(axis=1)
    measured = comparison.runs.loc[finite]
    if measured.empty:
        return None
    ends = measured[["decay", "lyapunov"]].to_numpy()
    with panels(1, height=4.2) as (figure, (axes,)):
        figure.set_size_inches(6, 5)
        axes.plot([ends.min(), ends.max()], [ends.min(), ends.max()], color=INK, label="equal", **GUIDE)
        for place, arm in enumerate(_shown(comparison, measured)):
            mine = measured[measured["arm"] == arm]
            for run, decay, exponent in zip(mine.index, mine["decay"], mine["lyapunov"], strict=True):
                dot = axes.plot(exponent, decay, marker(place), ms=5, color=colour(place), label=arm)
                tag_run(str(run), dot)
        axes.set(xlabel="largest Lyapunov exponent (nats a step)", ylabel="decay of the flow (nats a step)")
        legend_below(figure)
    return Picture(
        f"{comparison.task}-decay-against-exponent",
        "Decay of the gradient, predicted and measured",
        "Slope of the logarithm of the gradient norm against the lag, and the largest Lyapunov exponent of the "
        f"trajectory, both at the end of training; one dot for each of {count_of(len(measured), 'run')}. They agree on "
        "the dotted line. Few lags and non-normal weights make them differ.",
        figure,
        measured.reset_index()[["run_id", "arm", "seed", "decay", "lyapunov"]],
    )


def truncation_bias(comparison: Comparison) -> Picture | None:
    """How far truncated gradients are from the full one, by k2, at the end of training."""
    data = load_all(comparison.runs, load_truncation)
    if data.empty:
        return None
    last = data.loc[data["update"] == data.groupby("run_id")["update"].transform("max")]
    arms = _shown(comparison, last)
    with panels(2, 2, height=3.4, sharey=False) as (figure, (left, right)):
        draw_truncation_error(left, _by_k2(last, "error", arms))
        draw_truncation_cosine(right, _by_k2(last, "cosine", arms))
        legend_below(figure)
    return Picture(
        f"{comparison.task}-truncation-bias",
        "Truncation bias",
        "Gradient of one fixed batch, truncated after k2 steps, compared with that of full backpropagation at the end "
        f"of training. Thin: {count_of(last['run_id'].nunique(), 'run')}, one line each; thick: mean of each arm, "
        "without an interval. Error 0 and cosine 1: nothing is lost.",
        figure,
        last,
    )


def _by_k2(data: pd.DataFrame, column: str, arms: list[str]) -> list[Curve]:
    """A thin curve for each run, a thick one for the mean of each arm."""
    curves = []
    for place, arm in enumerate(arms):
        mine, thin = data[data["arm"] == arm], {"color": colour(place), "lw": 0.8, "alpha": 0.4, "marker": ""}
        curves += [Curve(run["k2"], run[column], "", thin, str(name)) for name, run in mine.groupby("run_id")]
        mean = mine.groupby("k2")[column].mean()
        curves.append(Curve(mean.index, mean, arm, line_style(place)))
    return curves


def _shown(comparison: Comparison, data: pd.DataFrame) -> list[str]:
    """The best of the arms with data."""
    found = set(data["arm"])
    return [arm for arm in comparison.arms if arm in found][:SERIES]
