"""Pictures across the runs of a task: a measure of the gradient in every run, beside what should predict it."""

import numpy as np

from study.figures.style import INK, Marks, Picture, colour, legend_below, line_style, marker, panels, render, styled
from study.report.data.histories import gathered, read_table
from study.report.data.runs import Comparison

SERIES = 12
"""Arms in one panel; the best ones, if there are more."""


def decay_against_exponent(comparison: Comparison) -> Picture | None:
    """The measured decay of the flow against the largest Lyapunov exponent, which should predict it; one dot a run."""
    measured = comparison.runs[np.isfinite(comparison.runs[["decay", "lyapunov"]]).all(axis=1)]
    if measured.empty:
        return None
    figure, (axes,) = panels(1, height=4.2)
    marks, ends = Marks(), measured[["decay", "lyapunov"]].to_numpy()
    with styled():
        figure.set_size_inches(6, 5)
        axes.plot([ends.min(), ends.max()], [ends.min(), ends.max()], color=INK, lw=1, ls=(0, (1, 1)), label="equal")
        for place, arm in enumerate(_shown(comparison, set(measured["arm"]))):
            mine = measured[measured["arm"] == arm]
            for run, decay, exponent in zip(mine.index, mine["decay"], mine["lyapunov"], strict=True):
                drawn = axes.plot(exponent, decay, marker(place), ms=5, color=colour(place), label=arm)
                marks(str(run), drawn)
        axes.set(xlabel="largest Lyapunov exponent (nats a step)", ylabel="decay of the flow (nats a step)")
        legend_below(figure, axes)
    return Picture(
        f"{comparison.task}-decay-against-exponent",
        "Decay predicted and measured",
        "Slope of the log gradient norm against the lag, beside the largest Lyapunov exponent of the trajectory, at "
        f"the end of training, {len(measured)} runs, one dot each. On the dotted line they agree; few lags and "
        "non-normal weights pull them apart.",
        render(figure),
        measured.reset_index()[["run_id", "arm", "seed", "decay", "lyapunov"]],
    )


def truncation_bias(comparison: Comparison) -> Picture | None:
    """How far truncated gradients are from the full one, by k2, at the end of training."""
    data = gathered(comparison.runs, lambda run: read_table(run, "truncation.parquet"))
    if data.empty:
        return None
    last = data[data["update"] == data.groupby("run_id")["update"].transform("max")]
    figure, grid = panels(2, 2, height=3.4, sharey=False)
    marks = Marks()
    with styled():
        for axes, key, label in zip(grid, ("error", "cosine"), ("relative error", "cosine"), strict=True):
            for place, arm in enumerate(_shown(comparison, set(last["arm"]))):
                mine = last[last["arm"] == arm]
                for run, line in mine.groupby("run_id"):
                    marks(str(run), axes.plot(line["k2"], line[key], lw=0.8, alpha=0.4, color=colour(place)))
                axes.plot(mine.groupby("k2")[key].mean(), lw=1.6, label=arm, **line_style(place))
            axes.set(xscale="log", xlabel="truncation length k2 (steps)", title=f"{label} of the truncated gradient")
        legend_below(figure, grid[0])
    return Picture(
        f"{comparison.task}-truncation-bias",
        "Truncation bias",
        "The gradient of one frozen batch truncated after k2 steps, against that of full backpropagation, at the end "
        f"of training: {last['run_id'].nunique()} runs, one thin line each, and the mean of every arm, without an "
        "interval. Error 0 and cosine 1: nothing is lost.",
        render(figure),
        last,
    )


def _shown(comparison: Comparison, arms: set[str]) -> list[str]:
    """The best of some arms."""
    return [arm for arm in comparison.arms if arm in arms][:SERIES]
