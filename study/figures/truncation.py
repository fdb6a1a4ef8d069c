"""Truncation bias (`study.probes.truncation`): the gradient truncated after k2 steps against that of full BPTT."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from study.figures.style import AFTER, Curve, draw_curves, draw_guide

BOUND = {"color": AFTER, "ls": "--"}
"""Style of the curve of a bound on the error."""
APART = 0.06
"""Least distance of two ticks, as a share of the axis."""


def draw_truncation_error(axes: Axes, curves: Sequence[Curve]) -> None:
    """The relative error of the truncated gradient by k2: 0 where nothing is lost.

    SGD is known to converge while it is below 1 (Aicher, Foti & Fox 2019).
    """
    draw_curves(axes, curves)
    draw_guide(axes, 1, "error 1: from here on SGD need not converge")
    errors = [_finite(curve) for curve in curves if curve.style is not BOUND]
    axes.set(ylabel="relative error of the gradient", ylim=(-0.03, 1.1 * max([1, *np.concatenate(errors)])))
    _k2_axis(axes, curves)


def draw_truncation_cosine(axes: Axes, curves: Sequence[Curve]) -> None:
    """The cosine between truncated and full gradient by k2: 1 where they point the same way."""
    draw_curves(axes, curves)
    axes.set(ylabel="cosine with the full gradient")
    _k2_axis(axes, curves)


def _finite(curve: Curve) -> np.ndarray:
    values = np.asarray(curve.y, float)
    return values[np.isfinite(values)]


def _k2_axis(axes: Axes, curves: Sequence[Curve]) -> None:
    """A logarithmic abscissa, ticked at the lengths that were measured, as far as there is room."""
    lengths = sorted({int(k2) for curve in curves for k2 in np.asarray(curve.x)})
    ticks, ratio = lengths[:1], (lengths[-1] / lengths[0]) ** APART
    for k2 in lengths[1:]:
        ticks += [k2] if k2 >= ratio * ticks[-1] else []
    axes.set_xscale("log")
    axes.set(xlabel="truncation length k2 (steps)", xlim=(0.9 * lengths[0], 1.1 * lengths[-1]))
    axes.set_xticks(ticks, [str(k2) for k2 in ticks], minor=False)
    axes.minorticks_off()
