"""Lyapunov spectra, and what is known of the spectra of the recurrent matrices."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes

from study.figures.style import Curve, colour, curves_by_update, draw_curves, draw_guide, integer_ticks, named_places

NORMS = {"spectral_radius": ("spectral radius", "-"), "largest_singular_value": ("largest singular value", "--")}
"""Columns of `draw_weights`: name and dashes."""


def draw_exponents(
    axes: Axes, spectra: Sequence[tuple[int, Float[np.ndarray, " exponents"]]], errors: Float[np.ndarray, " exponents"]
) -> None:
    """Lyapunov exponents by their order, largest first, a line for each update they were measured at.

    Args:
        axes: to draw into.
        spectra: update, exponents in nats a step.
        errors: standard errors of the last spectrum, drawn as bars of twice their length.
    """
    orders = np.arange(1, len(errors) + 1)
    curves = curves_by_update([(update, orders, _gap(exponents)) for update, exponents in spectra])
    draw_curves(axes, curves)
    last = curves[-1]
    axes.errorbar(orders, last.y, 2 * np.nan_to_num(errors, posinf=0.0), fmt="none", ecolor=last.style["color"], lw=1)
    draw_guide(axes, 0)
    integer_ticks(axes.xaxis)
    axes.set(xlim=(0.5, len(orders) + 0.5), xlabel="order", ylabel="Lyapunov exponent (nats a step)")


def draw_weights(axes: Axes, data: pd.DataFrame) -> None:
    """Spectral radius and largest singular value of every recurrent matrix over training.

    Args:
        axes: to draw into.
        data: `update`, `layer`, `block` and the columns of `NORMS`.
    """
    matrices = list(data.groupby(["layer", "block"]))
    for place, ((layer, block), mine) in enumerate(matrices):
        of = f" of layer {layer}, block {block}" if len(matrices) > 1 else ""
        curves = [
            Curve(mine["update"], mine[column], f"{name}{of}", {"color": colour(place), "ls": dashes})
            for column, (name, dashes) in NORMS.items()
        ]
        draw_curves(axes, curves)
    axes.set_xscale("symlog", linthresh=1)
    updates = sorted(data["update"].unique())
    named = [int(updates[place]) for place in named_places(len(updates))]
    axes.set_xticks(named, [f"{update:,}" for update in named])
    axes.minorticks_off()
    axes.set(xlabel="update", ylabel="norm of a recurrent matrix")


def _gap(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)
