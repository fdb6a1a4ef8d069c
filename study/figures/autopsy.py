"""What carried the gradient of an update: the norms around it, its shares by sequence, by lag, by parameter."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from study.figures.style import AFTER, BEFORE, COLOURS, INK, draw_guide, integer_ticks, say_if_empty

WINDOW = 100
"""Updates on each side of the one that is marked."""
SEEN = 0.005
"""A share below this cannot be seen: lags beyond the last larger one are not drawn."""
NAMED = 10
"""Most parameters that are drawn."""
EARLIER, LATER = COLOURS[5], COLOURS[4]
"""Colours of updates before and after the one looked at."""


def draw_norms_around(
    axes: Axes, before: Float[np.ndarray, " updates"], after: Float[np.ndarray, " updates"], update: int
) -> None:
    """Norms before clipping and as applied of the updates around one, which is marked.

    Args:
        axes: to draw into.
        before: of every update of the run.
        after: of every update of the run.
        update: from 1.
    """
    first, last = max(1, update - WINDOW), min(len(before), update + WINDOW)
    numbers = np.arange(first, last + 1)
    drawn = [np.where(np.isfinite(norms), norms, np.nan)[first - 1 : last] for norms in (before, after)]
    axes.plot(numbers, drawn[0], color=BEFORE, lw=1, marker=".", ms=3, label="before clipping")
    if (drawn[1] < drawn[0]).any():
        axes.plot(numbers, drawn[1], color=AFTER, lw=1, label="as applied")
    draw_guide(axes, update, "the update", vertical=True)
    say_if_empty(axes, drawn)
    axes.set(title="norms around it", xlabel="update", ylabel="2-norm of the gradient", yscale="log")
    integer_ticks(axes.xaxis)


def draw_by_sequence(axes: Axes, shares: Mapping[int, Float[np.ndarray, " batch"]], update: int) -> None:
    """Shares of the sequences of a batch, the largest first; dotted a fair share. `shares` are by update."""
    for each, values in shares.items():
        axes.plot(np.arange(1, len(values) + 1), np.sort(values)[::-1], ".-", **_style(each, update))
    fair = 1 / max(len(values) for values in shares.values())
    draw_guide(axes, fair, "fair share")
    say_if_empty(axes, list(shares.values()))
    axes.set(title="by sequence", xlabel="sequences of the batch, largest share first", ylabel="share of the gradient")
    integer_ticks(axes.xaxis)


def draw_by_lag(axes: Axes, shares: Mapping[int, Float[np.ndarray, " lags"]], update: int) -> None:
    """What flowed back so many steps or more, from all of it at 0 on. `shares` of single lags are by update."""
    last = 1
    for each, values in shares.items():
        left = 1 - values.cumsum() + values
        axes.plot(np.arange(len(values)), left, ".-", **_style(each, update))
        last = max(last, *np.flatnonzero(np.abs(left) > SEEN))
    draw_guide(axes, 0.0)
    axes.set_xlim(-0.02 * last, 1.05 * last)
    say_if_empty(axes, list(shares.values()))
    axes.set(title="by lag", xlabel="lag k (steps back)", ylabel="share that flowed back k or more")
    integer_ticks(axes.xaxis)


def draw_by_parameter(
    axes: Axes, names: Sequence[str], shares: Float[np.ndarray, " names"], earlier: Float[np.ndarray, " names"] | None
) -> None:
    """Bars of the largest shares, the largest on top, beside those of the update before, where there is one."""
    order = np.argsort(np.nan_to_num(shares))[::-1][:NAMED][::-1]
    places = np.arange(len(order))
    axes.barh(places + 0.2, shares[order], 0.4, color=BEFORE)
    if earlier is not None:
        axes.barh(places - 0.2, earlier[order], 0.4, color=EARLIER)
    axes.set_yticks(places, [names[place] for place in order], fontsize=7, color=INK)
    say_if_empty(axes, [shares])
    axes.set(title="by parameter", xlabel="share of the gradient's square")
    axes.grid(False, axis="y")


def _style(update: int, looked_at: int) -> dict[str, Any]:
    if update == looked_at:
        return {"color": BEFORE, "lw": 1.6, "ms": 4, "label": f"update {update}", "zorder": 3}
    return {"color": EARLIER if update < looked_at else LATER, "lw": 1, "ms": 3, "label": f"update {update}"}
