"""Gradient norms: over the updates of a run before and after clipping, and over the steps of a sequence."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from study.figures.style import (
    AFTER,
    BEFORE,
    FEW,
    INK,
    Curve,
    draw_curves,
    draw_guide,
    integer_ticks,
    log_ordinate,
    say_if_empty,
    tag_run,
)

BUCKETS = 100
"""Most points of a history in a plot; each shows the smallest, the median and the largest value of its updates."""
SHADE = 0.2


@dataclass(frozen=True)
class NormHistory:
    """Gradient norms of one run, in buckets of updates.

    Attributes:
        updates: the last update of every bucket.
        before: smallest, median and largest finite norm before clipping; NaN for a bucket without one.
        after: the same of the gradient as applied.
        not_finite: updates whose norm before clipping is NaN or inf.
        limit: the median of the norm limits in force; NaN for a bucket without one. None: the clip policy has none.
    """

    updates: Int[np.ndarray, " buckets"]
    before: Float[np.ndarray, "three buckets"]
    after: Float[np.ndarray, "three buckets"]
    not_finite: Int[np.ndarray, " lost"]
    limit: Float[np.ndarray, " buckets"] | None = None


def norm_history(
    updates: Int[np.ndarray, " updates"],
    before: Float[np.ndarray, " updates"],
    after: Float[np.ndarray, " updates"],
    limit: Float[np.ndarray, " updates"] | None = None,
) -> NormHistory:
    """Norms of every update, and the norm limit in force, put into buckets."""
    last, envelope = bucket(updates, before)
    limits = None if limit is None else bucket(updates, limit)[1][1]
    return NormHistory(last, envelope, bucket(updates, after)[1], updates[~np.isfinite(before)], limits)


def bucket(
    updates: Int[np.ndarray, " updates"], values: Float[np.ndarray, " updates"], positive: bool = True
) -> tuple[Int[np.ndarray, " buckets"], Float[np.ndarray, "three buckets"]]:
    """The last update of every bucket, and the smallest, median and largest finite value in it, above 0 if `positive`.

    Norms are above 0 wherever they can be drawn, on a logarithmic axis; a loss that is a likelihood may lie below.
    """
    starts = np.linspace(0, len(values), min(BUCKETS, len(values)), endpoint=False).astype(int)
    counts = np.isfinite(values) & ((values > 0) | (not positive))
    drawable = pd.Series(np.where(counts, values, np.nan), dtype=float)
    by_bucket = drawable.groupby(np.searchsorted(starts, np.arange(len(values)), side="right"))
    envelope = np.stack([by_bucket.min(), by_bucket.median(), by_bucket.max()])
    return updates[np.append(starts[1:], len(values)) - 1], envelope


def draw_norms(
    axes: Axes,
    histories: Mapping[str, NormHistory],
    threshold: float | None,
    colours: tuple[str, str] = (BEFORE, AFTER),
) -> None:
    """Norms over updates, one line a run: the median, shaded from the smallest to the largest.

    Args:
        axes: to draw into.
        histories: by run id.
        threshold: of clipping by the norm of the whole gradient; None: there is none.
        colours: before clipping, and as applied.
    """
    for run, history in histories.items():
        _draw_envelope(axes, history.updates, history.before, colours[0], "before clipping", run)
        if (clipped := _clipped(history)).any():
            after = np.where(clipped, history.after, np.nan)
            _draw_envelope(axes, history.updates, after, colours[1], "as applied", run)
        if history.limit is not None:
            tag_run(run, axes.plot(history.updates, history.limit, color=INK, lw=0.8, ls="--", label="clip limit"))
        _mark_not_finite(axes, history.not_finite, run)
    if threshold is not None:
        draw_guide(axes, threshold, f"clip threshold {threshold:g}")
    say_if_empty(axes, [history.before for history in histories.values()])
    log_ordinate(axes, *norm_range(histories.values()))
    integer_ticks(axes.xaxis)
    last = max(history.updates[-1] for history in histories.values())
    axes.set(xlim=(0.5, last + 0.5), xlabel="update", ylabel="2-norm of the gradient")


def norm_range(histories: Iterable[NormHistory]) -> tuple[float, float]:
    """The smallest and the largest finite norm, with a little room; NaN where there is none."""
    return _range([norms for history in histories for norms in (history.before, history.after)])


def draw_norms_by_step(axes: Axes, curves: Sequence[Curve]) -> None:
    """Norms of the gradient in the states of every step of a sequence."""
    draw_curves(axes, curves)
    log_ordinate(axes, *_range([curve.y for curve in curves]))
    last = max(np.max(curve.x) for curve in curves)
    axes.set(xlim=(0.5, last + 0.5), xlabel="step of the sequence", ylabel="mean 2-norm of the gradient")


def _range(drawn: Sequence[ArrayLike]) -> tuple[float, float]:
    values = np.concatenate([np.ravel(values) for values in drawn])
    finite = values[np.isfinite(values)]
    return (float(0.9 * finite.min()), float(1.1 * finite.max())) if len(finite) else (np.nan, np.nan)


def _draw_envelope(axes: Axes, updates: np.ndarray, envelope: np.ndarray, colour: str, label: str, run: str) -> None:
    """Median and range of every bucket."""
    low, middle, high = envelope
    axes.fill_between(updates, low, high, color=colour, alpha=SHADE, lw=0)
    tag_run(run, axes.plot(updates, middle, color=colour, lw=1, marker="." if len(updates) <= FEW else "", label=label))


def _clipped(history: NormHistory) -> np.ndarray:
    """The buckets in which clipping changed something, and their neighbours: a line through one cannot be seen."""
    changed = np.pad((history.after < history.before).any(0), 1)
    return changed[:-2] | changed[1:-1] | changed[2:]


def _mark_not_finite(axes: Axes, updates: np.ndarray, run: str) -> None:
    """Crosses at the top of the plot."""
    if len(updates):
        top, across = np.full(len(updates), 0.97), axes.get_xaxis_transform()
        crosses = axes.plot(updates, top, "x", color=INK, ms=5, clip_on=False, transform=across, label="not finite")
        tag_run(run, crosses)
