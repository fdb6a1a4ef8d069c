"""The measure of a task against the length at which trained networks are tested."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from study.figures.style import INK, OPPONENT, draw_guide, legend_below, line_style, panels, tag_run
from study.report.data.comparison import Comparison
from study.report.figures.arms import OVERLAID, choose
from study.report.figures.picture import Picture, count_of

APART = 1.02
"""Factor between the abscissas of neighbouring arms at one length, so that their intervals do not hide each other."""


def generalisation(comparison: Comparison, data: pd.DataFrame) -> Picture | None:
    """The measure against the length of the test, one line an arm; None where no run was tested at several lengths.

    Args:
        comparison: of the task.
        data: see `study.report.data.lengths`.
    """
    if data.empty:
        return None
    shown, missing = choose(comparison, set(data["arm"]), OVERLAID, "not tested at other lengths, or lost")
    data = data[data["arm"].isin(shown)]
    with panels(1, height=3.4) as (figure, (axes,)):
        for index, arm in enumerate(shown):
            _draw_arm(axes, comparison, data[data["arm"] == arm], APART ** (index - (len(shown) - 1) / 2))
        guess = data.groupby("length")["guess"].mean()
        axes.plot(guess.index, guess, color=INK, label="guess without memory", **OPPONENT)
        for length in sorted(data.loc[data["trained"], "length"].unique()):
            draw_guide(axes, int(length), f"trained at {length}", vertical=True)
        _label(axes, comparison, sorted(data["length"].unique().tolist()))
        legend_below(figure)
    return Picture(
        f"{comparison.task}-by-length",
        "Length generalisation: tested at other lengths than trained at",
        f"{comparison.measure} on test sequences of each length, none of which were trained on. "
        f"Dots: {count_of(data['run_id'].nunique(), 'run')}; lines: means of the arms, with 95% intervals "
        "over seeds (Student's t; none where there is one seed). Vertical: the length of training. Lengths are on a "
        f"logarithmic scale; arms at the same length stand a little apart.{missing}",
        figure,
        data,
    )


def _draw_arm(axes: Axes, comparison: Comparison, data: pd.DataFrame, beside: float) -> None:
    """The runs of an arm and their mean, at lengths times `beside`."""
    arm = str(data["arm"].iloc[0])
    style = line_style(comparison.place(arm))
    for run, mine in data.groupby("run_id"):
        tag_run(str(run), axes.plot(beside * mine["length"], mine["value"], "o", ms=4, alpha=0.5, color=style["color"]))
    found = {int(str(length)): comparison.interval(here["value"]) for length, here in data.groupby("length")}
    means, places = [at.mean for at in found.values()], [beside * length for length in found]
    bars = np.nan_to_num(np.maximum(np.array([[at.mean - at.low, at.high - at.mean] for at in found.values()]).T, 0))
    axes.errorbar(places, means, bars, lw=1.2, capsize=3, label=arm, **style)


def _label(axes: Axes, comparison: Comparison, lengths: list[int]) -> None:
    axes.set(xlabel="length of the test", ylabel=f"{comparison.measure} on test", xscale="log")
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.xaxis.set_minor_locator(NullLocator())
