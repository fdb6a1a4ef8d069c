"""One picture a measure, drawn once at the end of a run from what was kept; nothing here measures."""

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from study.probes.backpropagated import Backpropagated
from study.probes.flow import FROM, REACHED, Flow
from study.probes.lyapunov import Lyapunov
from study.probes.result import ProbeResult
from study.probes.suite import Taken
from study.probes.truncation import Truncation
from study.training.history import APPLIED, TOTAL

History = Float[np.ndarray, "updates columns"]
FLOOR = 1e-12
"""Shares of the gradient below this are drawn here, those above its inverse there."""
NAMED = 8
"""Most probe times named in a legend or on an axis."""
FEW = 50
"""Up to so many updates are drawn as dots too: a line through a single one would not be seen."""

Kind = TypeVar("Kind", bound=ProbeResult)
Series = Sequence[tuple[int, Kind]]


def figures(history: History, threshold: float | None, taken: Sequence[Taken], horizon: int) -> dict[str, Figure]:
    """Every picture of a run by file name.

    Args:
        history: rows of `study.training.history`.
        threshold: norm that clipping held every update to; None: there is no one such number.
        taken: all measures.
        horizon: the lag at which the task needs the past.
    """
    flows, spectra = _series(taken, Flow), _series(taken, Lyapunov)
    figures = {"gradient_norms": gradient_norms(history, threshold)} if len(history) else {}
    if flows:
        figures["flow_over_lag"] = flow_over_lag(flows, spectra, horizon)
    if len(flows) > 1:
        figures["flow_over_updates"] = flow_over_updates(flows, horizon)
    if len(flows) > 1 and spectra:
        figures["decay_over_updates"] = decay_over_updates(flows, spectra)
    if spectra and len(spectra[0][1].exponents) > 1:
        figures["lyapunov_spectrum"] = lyapunov_spectrum(spectra)
    if backpropagated := _series(taken, Backpropagated):
        figures["gradient_by_time"] = gradient_by_time(backpropagated)
    if truncations := _series(taken, Truncation):
        figures["truncation_bias"] = truncation_bias(truncations)
    return figures


def gradient_norms(history: History, threshold: float | None) -> Figure:
    """The norm of every update before and after clipping; updates without a finite one marked at the top."""
    figure, axes = _blank("gradient norm by update", "update", "2-norm of the gradient")
    updates = np.arange(1, len(history) + 1)
    total, applied = history[:, TOTAL], history[:, APPLIED]
    finite, marker = np.isfinite(total), "." if len(history) <= FEW else ""
    axes.semilogy(updates, _positive(total), lw=0.7, marker=marker, color="tab:blue", label="before clipping")
    if (applied < total).any():
        axes.semilogy(updates, _positive(applied), lw=0.7, marker=marker, color="tab:orange", label="as applied")
    if threshold is not None:
        axes.axhline(threshold, color="black", ls="--", lw=1, label=f"threshold {threshold:g}")
    if not finite.all():
        marks = updates[~finite], np.full((~finite).sum(), 0.98)
        axes.plot(*marks, "rx", transform=axes.get_xaxis_transform(), label=f"not finite: {(~finite).sum()}")
    axes.set_xlim(0.5, len(history) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _finished(figure, axes)


def flow_over_lag(flows: Series[Flow], spectra: Series[Lyapunov], horizon: int) -> Figure:
    """What is left of the gradient by lag, one line a probe time; the share and the lag that the verdict asks for.

    Beside the last one the slope that the largest Lyapunov exponent predicts, from where the decay is fitted on.
    """
    figure, axes = _blank("gradient flow: what is left of one step's gradient", "lag (steps back)", "share of lag 0")
    _lines(axes, [(update, np.arange(flow.lags + 1), share(flow)) for update, flow in flows])
    last, predicted = flows[-1][1], spectra[-1][1].exponents[0] if spectra else math.nan
    lags = np.arange(min(FROM, last.lags // 2), last.lags + 1)
    if np.isfinite(predicted) and np.isfinite(last.memory.log_phi[lags[0]]):
        label = f"slope predicted by\nLyapunov exponent\n{predicted:.3f} nats a step"
        start = last.memory.log_ratio(int(lags[0]))
        axes.plot(lags, _within(start + predicted * (lags - lags[0])), color="tab:red", ls="--", lw=1, label=label)
    axes.set_yscale("log")
    axes.axhline(REACHED, color="grey", ls=":", lw=1, label=f"{REACHED:.0%} left")
    where = "" if horizon <= last.lags else "\n(further than measured)"
    axes.axvline(horizon, color="black", ls="--", lw=1, label=f"horizon of the task: {horizon}{where}")
    axes.set_xlim(-0.02 * last.lags, 1.02 * last.lags)
    return _finished(figure, axes)


def flow_over_updates(flows: Series[Flow], horizon: int) -> Figure:
    """The same as a heat map, lag by update: columns are probe times, in their order."""
    figure, axes = _blank("gradient flow over training: log10 of the share of lag 0", "update", "lag (steps back)")
    image = axes.imshow(
        np.log10([share(flow) for _, flow in flows]).T,
        origin="lower", aspect="auto", cmap="viridis", vmin=-8, vmax=2, interpolation="nearest",
    )  # fmt: skip
    if horizon <= flows[0][1].lags:
        axes.axhline(horizon, color="white", ls="--", lw=1)
        axes.text(-0.45, horizon, " horizon of the task", color="white", va="bottom", fontsize="small")
    named = _named(len(flows))
    axes.set_xticks(named, [str(flows[place][0]) for place in named], rotation=45)
    axes.set_facecolor("lightgrey")  # what is not finite
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, extend="both")
    return figure


def decay_over_updates(flows: Series[Flow], spectra: Series[Lyapunov]) -> Figure:
    """The decay rate of the flow as measured, with its standard error, and as the largest exponent predicts it."""
    figure, axes = _blank("decay of the gradient, measured and predicted", "update", "nats a step")
    errors = np.nan_to_num([flow.joint.decay_error for _, flow in flows])
    decays = np.where(np.isfinite([flow.joint.decay for _, flow in flows]), [f.joint.decay for _, f in flows], np.nan)
    axes.errorbar([u for u, _ in flows], decays, 2 * errors, marker="o", ms=4, capsize=3, label="slope of the flow")
    largest = [spectrum.exponents[0] for _, spectrum in spectra]
    axes.plot([u for u, _ in spectra], largest, "x--", color="tab:red", label="largest Lyapunov exponent")
    axes.axhline(0, color="grey", lw=1)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(-0.2, 1.3 * flows[-1][0])
    return _finished(figure, axes)


def lyapunov_spectrum(spectra: Series[Lyapunov]) -> Figure:
    """All exponents that were followed, largest first, one line a probe time."""
    figure, axes = _blank("Lyapunov spectrum", "order", "exponent (nats a step)")
    _lines(axes, [(update, np.arange(1, len(s.exponents) + 1), s.exponents) for update, s in spectra])
    axes.axhline(0, color="grey", lw=1)
    return _finished(figure, axes)


def gradient_by_time(profiles: Series[Backpropagated]) -> Figure:
    """The gradient of the training loss in the states of every step, top layer, one line a probe time."""
    figure, axes = _blank("gradient of the training loss by step", "step of the sequence", "mean 2-norm")
    with np.errstate(over="ignore"):
        norms = [(update, _positive(np.exp(profile.mean[:, -1]))) for update, profile in profiles]
    _lines(axes, [(update, np.arange(1, len(norm) + 1), norm) for update, norm in norms])
    axes.set_yscale("log")
    return _finished(figure, axes)


def truncation_bias(biases: Series[Truncation]) -> Figure:
    """The relative error of truncated gradients by k2, one line a probe time; beside the last one its bound."""
    title = "truncation bias of the gradient (near 0 until the past matters: it says nothing there)"
    figure, axes = _blank(title, "truncation length k2 (steps)", "relative error")
    _lines(axes, [(update, np.array(bias.k2), bias.error) for update, bias in biases])
    last = biases[-1][1]
    axes.plot(last.k2, last.bound, color="tab:red", ls="--", lw=1, label="bound on the last")
    axes.axhline(1, color="grey", ls=":", lw=1, label="1: from here on SGD\nneed not converge")
    axes.set_ylim(-0.03, max([1.1, *(1.1 * bias.error[np.isfinite(bias.error)].max(initial=0) for _, bias in biases)]))
    axes.set_xscale("log")
    axes.set_xlim(0.9 * last.k2[0], 1.1 * last.k2[-1])
    axes.set_xticks(last.k2, [str(k2) for k2 in last.k2], minor=False)
    axes.minorticks_off()
    return _finished(figure, axes)


def share(flow: Flow) -> Float[np.ndarray, " lags"]:
    """phi_k / phi_0 of the memory in all layers, not below `FLOOR` nor above its inverse; NaN where it is NaN."""
    log_phi = flow.memory.log_phi
    with np.errstate(invalid="ignore"):
        return _within(log_phi - log_phi[0])


def _within(logs: Float[np.ndarray, " lags"]) -> Float[np.ndarray, " lags"]:
    """Their exponentials, as far as they are drawn."""
    return np.exp(np.clip(logs, math.log(FLOOR), -math.log(FLOOR)))


def _positive(values: np.ndarray) -> np.ndarray:
    """What a logarithmic axis can show; a gap elsewhere."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def _series(taken: Sequence[Taken], kind: type[Kind]) -> list[tuple[int, Kind]]:
    """All measures of a kind, with their updates."""
    return [(update, m) for update, measures in taken for m in measures.values() if isinstance(m, kind)]


def _named(count: int) -> list[int]:
    """Places of the probe times that are named: evenly spaced, the first and the last among them."""
    return [int(place) for place in np.unique(np.linspace(0, count - 1, min(count, NAMED)).round())]


def _lines(axes: Axes, lines: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> None:
    """One line a probe time, early ones light, late ones dark."""
    shades: Iterable[np.ndarray] = colormaps["viridis_r"](np.linspace(0.1, 1.0, len(lines)))
    for place, ((update, across, up), shade) in enumerate(zip(lines, shades, strict=True)):
        label = f"update {update}" if place in _named(len(lines)) else None
        axes.plot(across, up, color=tuple(shade), lw=1.5, marker="." if len(across) <= FEW else "", label=label)


def _finished(figure: Figure, axes: Axes) -> Figure:
    """With its legend beside the plot, and a word where a broken run leaves nothing to draw."""
    curves = [np.asarray(line.get_ydata(), float) for line in axes.get_lines() if not _is_rule(line)]
    if not any(np.isfinite(curve).any() for curve in curves):
        axes.text(0.5, 0.5, "nothing finite to draw", transform=axes.transAxes, ha="center", color="grey")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small", frameon=False)
    return figure


def _is_rule(line: Line2D) -> bool:
    """Whether a line goes across the whole plot, or marks its edge: it is no measurement."""
    return line.get_transform() != line.axes.transData if line.axes is not None else False


def _blank(title: str, across: str, up: str) -> tuple[Figure, Axes]:
    """A figure with one empty plot."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=across, ylabel=up)
    axes.grid(visible=True, alpha=0.3)
    return figure, axes
