"""The measure of a task against the length at which trained networks are tested."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from study.figures.style import INK, OPPONENT, draw_guide, legend_below, line_style, panels, tag_run
from study.report.data.comparison import Comparison
from study.report.figures.picture import Picture, count_of

ARMS = 12
"""Most arms drawn: the best ones."""
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
    arms = [arm for arm in comparison.arms if arm in set(data["arm"])]
    shown = arms[:ARMS]
    data = data[data["arm"].isin(shown)]
    with panels(1, height=3.4) as (figure, (axes,)):
        for index, arm in enumerate(shown):
            _draw_arm(axes, comparison, data[data["arm"] == arm], index, APART ** (index - (len(shown) - 1) / 2))
        guess = data.groupby("length")["guess"].mean()
        axes.plot(guess.index, guess, color=INK, label="guess without memory", **OPPONENT)
        for length in sorted(data.loc[data["trained"], "length"].unique()):
            draw_guide(axes, int(length), f"trained at {length}", vertical=True)
        _label(axes, comparison, sorted(data["length"].unique().tolist()))
        legend_below(figure)
    left_out = f" (only the best {len(shown)} of {len(arms)} arms)" if len(shown) < len(arms) else ""
    return Picture(
        f"{comparison.task}-by-length",
        "Length generalisation: tested at other lengths than trained at",
        f"{comparison.measure} on test sequences of each length, none of which were trained on. "
        f"Dots: {count_of(data['run_id'].nunique(), 'run')}{left_out}; lines: means of the arms, with 95% intervals "
        "over seeds (Student's t; none where there is one seed). Vertical: the length of training. Lengths are on a "
        "logarithmic scale; arms at the same length stand a little apart.",
        figure,
        data,
    )


def _draw_arm(axes: Axes, comparison: Comparison, data: pd.DataFrame, index: int, beside: float) -> None:
    """The runs of an arm and their mean, at lengths times `beside`."""
    style = line_style(index)
    for run, mine in data.groupby("run_id"):
        tag_run(str(run), axes.plot(beside * mine["length"], mine["value"], "o", ms=4, alpha=0.5, color=style["color"]))
    found = {int(str(length)): comparison.interval(here["value"]) for length, here in data.groupby("length")}
    means, places = [at.mean for at in found.values()], [beside * length for length in found]
    bars = np.nan_to_num(np.maximum(np.array([[at.mean - at.low, at.high - at.mean] for at in found.values()]).T, 0))
    axes.errorbar(places, means, bars, lw=1.2, capsize=3, label=str(data["arm"].iloc[0]), **style)


def _label(axes: Axes, comparison: Comparison, lengths: list[int]) -> None:
    axes.set(xlabel="length of the test", ylabel=f"{comparison.measure} on test", xscale="log")
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.xaxis.set_minor_locator(NullLocator())
