"""Gradient flow phi_k (`study.probes.flow`): by lag, by lag and update, and its rate of decay over training."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from study.figures.style import (
    AFTER,
    BEFORE,
    INK,
    SEQUENTIAL,
    Curve,
    curves_by_update,
    draw_curves,
    draw_guide,
    integer_ticks,
    named_places,
    say_if_empty,
)

FLOOR, CEILING = 1e-12, 1e6
"""Shares of the gradient are drawn between these; what lies beyond is drawn there."""
COLOUR_RANGE = (-6.0, 2.0)
"""log10 of the shares that a heat map tells apart."""


def shares(log_shares: ArrayLike) -> Float[np.ndarray, "..."]:
    """phi_k / phi_0 from its logarithm in nats, within `FLOOR` and `CEILING`; NaN stays NaN."""
    return np.exp(np.clip(np.asarray(log_shares, float), math.log(FLOOR), math.log(CEILING)))


def draw_flow_by_lag(
    axes: Axes, curves: Sequence[Curve], horizon: int | None, thresholds: tuple[float, float]
) -> None:  # fmt: skip
    """The share of the gradient left k steps back.

    Args:
        axes: to draw into.
        curves: `shares` against the lag, from lag 0 on.
        horizon: the lag at which the task needs the past; None where there is not one for all curves.
        thresholds: shares below the first count as vanished, above the second as exploded: both are shaded.
    """
    last = max(int(np.max(curve.x)) for curve in curves)
    draw_curves(axes, curves)
    axes.axhspan(FLOOR / 10, thresholds[0], color=INK, alpha=0.05, lw=0)
    axes.axhspan(thresholds[1], 10 * CEILING, color=INK, alpha=0.05, lw=0)
    if horizon is not None:
        further = "" if horizon <= last else "\n(further than measured)"
        draw_guide(axes, horizon, f"horizon of the task: {horizon} steps{further}", vertical=True)
    axes.set(xlabel="lag (steps back)", ylabel="share of the gradient at lag 0", yscale="log")
    axes.set(
        xlim=(-0.02 * max(1, last), 1.02 * max(1, last)), ylim=share_range([curve.y for curve in curves], thresholds[0])
    )
    axes.minorticks_off()


def share_range(drawn: Sequence[ArrayLike], vanished: float) -> tuple[float, float]:
    """The decades that hold all shares, 1, and a little of what counts as vanished."""
    values = np.concatenate([np.ravel(values) for values in drawn])
    finite = values[np.isfinite(values)]
    low, high = finite.min(initial=vanished / 10), finite.max(initial=1.0)
    return float(10 ** np.floor(np.log10(low))), float(10 ** np.ceil(np.log10(high) + 0.05))


def flow_curves(
    profiles: Sequence[tuple[int, Float[np.ndarray, " lags"]]], exponent: float, fitted_from: int
) -> list[Curve]:
    """The curves of one run: one for each update, and the slope that is predicted for the last.

    Args:
        profiles: update, log(phi_k / phi_0) in nats from lag 0 on.
        exponent: the largest Lyapunov exponent at the last update, nats a step; NaN if it was not measured.
        fitted_from: the lag from which on the decay is fitted (half of the lags where that is nearer).
    """
    curves = curves_by_update([(update, np.arange(len(logs)), shares(logs)) for update, logs in profiles])
    last = profiles[-1][1]
    lags = np.arange(min(fitted_from, (len(last) - 1) // 2), len(last))
    if np.isfinite([exponent, last[lags[0]]]).all():
        label = f"Lyapunov exponent: {exponent:.3f}"
        predicted = shares(last[lags[0]] + exponent * (lags - lags[0]))
        curves.append(Curve(lags, predicted, label, {"color": AFTER, "ls": "--"}))
    return curves


def draw_flow_map(
    axes: Axes, log_shares: Float[np.ndarray, "updates lags"], updates: Sequence[int], horizon: int | None
) -> AxesImage:
    """The share of the gradient as a heat map, lag by update: one column for each update it was measured at.

    Args:
        axes: to draw into.
        log_shares: log(phi_k / phi_0), in nats; grey where not finite.
        updates: of the rows.
        horizon: the lag at which the task needs the past; None where there is not one for all runs.
    """
    image = axes.imshow(
        np.log10(shares(log_shares)).T, origin="lower", aspect="auto", interpolation="nearest",
        cmap=SEQUENTIAL, vmin=COLOUR_RANGE[0], vmax=COLOUR_RANGE[1],
    )  # fmt: skip
    if horizon is not None and horizon < log_shares.shape[1]:
        draw_guide(axes, horizon, colour="white")
        axes.text(-0.45, horizon, " horizon", color="white", va="bottom", fontsize="small")
    named = named_places(len(updates))
    axes.set_xticks(named, [str(updates[place]) for place in named])
    integer_ticks(axes.yaxis)
    axes.set(xlabel="update", ylabel="lag (steps back)", facecolor="lightgrey")
    axes.grid(visible=False)
    return image


def add_colour_bar(image: AxesImage, panels: Sequence[Axes]) -> None:
    """The scale of `draw_flow_map`, beside the panels; beside a single one it takes nothing of the panel's width."""
    place: Any = {"ax": panels, "shrink": 0.8, "pad": 0.02}
    if len(panels) == 1:
        place = {"cax": panels[0].inset_axes((1.02, 0.1, 0.02, 0.8))}
    panels[0].figure.colorbar(image, label="log10 of the share of lag 0", extend="both", **place)


def draw_decay(
    axes: Axes, decays: Float[np.ndarray, "updates three"], exponents: Float[np.ndarray, "measured two"]
) -> None:  # fmt: skip
    """The rate of decay over training, measured and predicted.

    Args:
        axes: to draw into.
        decays: update, slope of the log gradient norm against the lag, its standard error, both nats a step.
        exponents: update, largest Lyapunov exponent.
    """
    updates, slopes, errors = decays.T
    bars = 2 * np.nan_to_num(errors, posinf=0.0)
    drawn = np.where(np.isfinite(slopes), slopes, np.nan)
    axes.errorbar(updates, drawn, bars, marker="o", ms=4, lw=1.3, capsize=3, color=BEFORE, label="slope of the flow")
    axes.plot(*exponents.T, "x--", lw=1.3, color=AFTER, label="largest Lyapunov exponent")
    say_if_empty(axes, [drawn, exponents[:, 1]])
    draw_guide(axes, 0)
    axes.set_xscale("symlog", linthresh=1)
    axes.set(xlabel="update", ylabel="nats a step", xlim=(-0.2, 1.3 * updates[-1]))
