"""One picture a measure, drawn once at the end of a run from what was kept; nothing here measures."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.history import APPLIED, TOTAL
from study.probes.flow import REACHED, Flow
from study.probes.suite import Taken
from study.schema.learning import AnyClip, ClipNorm

History = Float[np.ndarray, "updates columns"]
FLOOR = 1e-12
"""Shares of the gradient below this are drawn here, those above its inverse there."""


def of(history: History, clip: AnyClip, taken: Sequence[Taken], horizon: int) -> dict[str, Figure]:
    """Every picture of a run by file name.

    Args:
        history: rows of `study.history`.
        clip: of the run.
        taken: all measures.
        horizon: the lag at which the task needs the past.
    """
    found = [(update, measures["flow"]) for update, measures in taken if "flow" in measures]
    flows = [(update, flow) for update, flow in found if isinstance(flow, Flow)]
    threshold = clip.threshold if isinstance(clip, ClipNorm) else None
    figures = {"gradient_norms": gradient_norms(history, threshold)} if len(history) else {}
    if flows:
        figures["flow_over_lag"] = flow_over_lag(flows, horizon)
    if len(flows) > 1:
        figures["flow_over_updates"] = flow_over_updates(flows, horizon)
    return figures


def gradient_norms(history: History, threshold: float | None) -> Figure:
    """The norm of every update before and after clipping; updates without a finite one marked at the top."""
    figure, axes = _blank("gradient norm by update", "update", "2-norm of the gradient")
    updates = np.arange(1, len(history) + 1)
    total, applied = history[:, TOTAL], history[:, APPLIED]
    finite = np.isfinite(total)
    axes.semilogy(
        updates, np.where(finite & (total > 0), total, np.nan), lw=0.7, color="tab:blue", label="before clipping"
    )
    if (applied < total).any():
        kept = np.where(np.isfinite(applied) & (applied > 0), applied, np.nan)
        axes.semilogy(updates, kept, lw=0.7, color="tab:orange", label="as applied")
    if threshold is not None:
        axes.axhline(threshold, color="black", ls="--", lw=1, label=f"threshold {threshold:g}")
    if not finite.all():
        marks = updates[~finite], np.full((~finite).sum(), 0.98)
        axes.plot(*marks, "rx", transform=axes.get_xaxis_transform(), label=f"not finite: {(~finite).sum()}")
    axes.legend(loc="best", fontsize="small")
    return figure


def flow_over_lag(flows: Sequence[tuple[int, Flow]], horizon: int) -> Figure:
    """What is left of the gradient by lag, one line a probe time; the share and the lag that the verdict asks for."""
    figure, axes = _blank("gradient flow: what is left of one step's gradient", "lag (steps back)", "share of lag 0")
    shades = colormaps["viridis_r"](np.linspace(0.1, 1.0, len(flows)))  # early light, late dark
    for (update, flow), shade in zip(flows, shades, strict=True):
        axes.semilogy(share(flow), color=tuple(shade), lw=1.5, label=f"update {update}")
    axes.axhline(REACHED, color="grey", ls=":", lw=1)
    axes.axvline(horizon, color="black", ls="--", lw=1, label=f"horizon of the task: {horizon}")
    axes.legend(loc="best", fontsize="small")
    return figure


def flow_over_updates(flows: Sequence[tuple[int, Flow]], horizon: int) -> Figure:
    """The same as a heat map, lag by update: columns are probe times, in their order."""
    figure, axes = _blank("gradient flow over training: log10 of the share of lag 0", "update", "lag (steps back)")
    image = axes.imshow(
        np.log10([share(flow) for _, flow in flows]).T,
        origin="lower", aspect="auto", cmap="viridis", vmin=-8, vmax=2, interpolation="nearest",
    )  # fmt: skip
    axes.axhline(horizon, color="white", ls="--", lw=1)
    axes.set_xticks(range(len(flows)), [str(update) for update, _ in flows], rotation=45)
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes)
    return figure


def share(flow: Flow) -> Float[np.ndarray, " lags"]:
    """phi_k / phi_0 of the memory in all layers, not below `FLOOR` nor above its inverse; NaN where it is NaN."""
    log_phi = flow.memory.log_phi
    with np.errstate(invalid="ignore"):
        return np.exp(np.clip(log_phi - log_phi[0], math.log(FLOOR), -math.log(FLOOR)))


def _blank(title: str, across: str, up: str) -> tuple[Figure, Axes]:
    """A figure with one empty plot."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=across, ylabel=up)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes
