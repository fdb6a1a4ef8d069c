"""Axes that keep an explosion inside their panel: how far they reach, and marks where a curve leaves."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator
from numpy.typing import ArrayLike

from study.figures.style import INK, Curve, tag_run

SPANS = 0.7
"""So far beyond what a panel is made for, in spans of that, curves are shown that leave it."""
LEAST = 0.3
"""Decades: the least that is shown of them on a logarithmic axis."""
FEW_DECADES = 100
"""A logarithmic axis that spans less has ticks between the powers of ten labelled too."""
DECADE = 10
"""Positive values that span this factor or more are drawn on a logarithmic axis."""


def spans_decades(values: ArrayLike) -> bool:
    """Whether values belong on a logarithmic axis: all above zero, the largest `DECADE` times the smallest or more."""
    finite = _finite(values)
    return bool(len(finite) and 0 < DECADE * finite.min() <= finite.max())


def reach(kept: ArrayLike, others: ArrayLike, log: bool = True) -> tuple[float, float]:
    """The range of an axis made for some values that shows the start of how others leave it; NaN without a value.

    Args:
        kept: of runs that were not lost: the axis holds all of them.
        others: of the rest, as far as `SPANS` goes. Where nothing is kept, their lower half is.
        log: the axis is logarithmic; values of 0 and below do not count.
    """
    first, rest = (_scaled(values, log) for values in (kept, others))
    if not len(first):
        first = np.quantile(rest, (0.0, 0.5)) if len(rest) else rest
    if not len(first):
        return np.nan, np.nan
    low, high = first.min(), first.max()
    room = max(LEAST, SPANS * (high - low)) if log else SPANS * (high - low)
    ends = np.array([max(rest.min(initial=low), low - room), min(rest.max(initial=high), high + room)])
    low, high = 10**ends if log else ends
    return float(low), float(high)


def limit(axes: Axes, kept: ArrayLike, others: ArrayLike, curves: Sequence[Curve]) -> None:
    """Let the ordinate reach as `reach` says, with a little room, and mark which of some curves leave it where."""
    log = axes.get_yscale() == "log"
    low, high = reach(kept, others, log)
    if low < high:
        room = 1.2 if log else 0.04 * (high - low)
        axes.set_ylim((low / room, high * room) if log else (low - room, high + room))
        if log and high < FEW_DECADES * low:
            _label_plainly(axes.yaxis)
        mark_leaving(axes, curves)


def _label_plainly(axis: Axis) -> None:
    """Numbers as they are said, at the powers of ten and at 2 and 5 times these, for an axis of few decades."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_minor_formatter("{x:g}")


def mark_leaving(axes: Axes, curves: Sequence[Curve]) -> None:
    """A triangle at the edge of the panel where a curve leaves it, and how far the farthest of them goes."""
    (low, high), log = axes.get_ylim(), axes.get_yscale() == "log"
    for edge, sign, form in ((high, 1, "^"), (low, -1, "v")):
        left = [found for curve in curves if (found := _first_beyond(curve, edge, sign, log)) is not None]
        for curve, x, _ in left:
            mark = axes.plot(x, edge, form, ms=5, color=curve.style.get("color", INK), clip_on=False, zorder=4)
            tag_run(curve.run, mark)
        if left:
            _, x, farthest = max(left, key=lambda found: sign * found[2])
            axes.annotate(
                f"to {farthest:.2g}", (x, edge), xytext=(5, -sign * 4), textcoords="offset points", color=INK,
                va="top" if sign > 0 else "bottom", fontsize=7,
            )  # fmt: skip


def _first_beyond(curve: Curve, edge: float, sign: int, log: bool) -> tuple[Curve, float, float] | None:
    """A curve that leaves a panel, the abscissa where it first does, and how far it goes; None where it stays."""
    x, values = np.asarray(curve.x, float), np.asarray(curve.y, float)
    with np.errstate(invalid="ignore"):
        beyond = np.flatnonzero(sign * (values - edge) > 0)
    if not len(beyond):
        return None
    at, farthest = int(beyond[0]), float(sign * np.nanmax(sign * values))
    if at == 0 or not np.isfinite(values[at - 1]):
        return curve, float(x[at]), farthest
    with np.errstate(divide="ignore"):
        before, after, end = np.log([values[at - 1], values[at], edge]) if log else (values[at - 1], values[at], edge)
    return curve, float(x[at - 1] + (x[at] - x[at - 1]) * (end - before) / (after - before)), farthest


def _finite(values: ArrayLike) -> Float[np.ndarray, " values"]:
    array = np.ravel(np.asarray(values, float))
    return array[np.isfinite(array)]


def _scaled(values: ArrayLike, log: bool) -> Float[np.ndarray, " values"]:
    finite = _finite(values)
    return np.log10(finite[finite > 0]) if log else finite
