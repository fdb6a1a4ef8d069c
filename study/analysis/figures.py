"""Which figures a run has, drawn once at its end from its history and what its probes measured."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.analysis.diagnosis.thresholds import EXPLODED, VANISHED
from study.figures import flow, norms, spectra, truncation
from study.figures.style import Curve, curves_by_update, single_panel
from study.probes.backpropagated import Backpropagated
from study.probes.flow import FROM, Flow
from study.probes.lyapunov import Lyapunov
from study.probes.result import ProbeResult
from study.probes.suite import Taken
from study.probes.truncation import Truncation
from study.training.history import APPLIED, TOTAL

History = Float[np.ndarray, "updates columns"]
Kind = TypeVar("Kind", bound=ProbeResult)
Series = Sequence[tuple[int, Kind]]
Drawing = tuple[str, str, Callable[[Axes], None]]
"""Name of the file, title, and what draws it."""


def figures(
    history: History,
    threshold: float | None,
    taken: Sequence[Taken],
    horizon: int,
    limits: Float[np.ndarray, " updates"] | None = None,
) -> dict[str, Figure]:
    """Every figure of a run by file name.

    Args:
        history: rows of `study.training.history`.
        threshold: of clipping by the norm of the whole gradient; None: there is none.
        taken: all measurements.
        horizon: the lag at which the task needs the past.
        limits: on the norm in every update, of a clip policy that records them.
    """
    found = {}
    for name, title, draw in (*_of_history(history, threshold, limits), *_of_flow(taken, horizon), *_of_others(taken)):
        with single_panel(title) as (figure, axes):
            draw(axes)
        found[name] = figure
    return found


def _of_history(
    history: History, threshold: float | None, limits: Float[np.ndarray, " updates"] | None
) -> Iterator[Drawing]:
    if len(history):
        updates = np.arange(1, len(history) + 1)
        histories = {"": norms.norm_history(updates, history[:, TOTAL], history[:, APPLIED], limits)}
        draw = partial(norms.draw_norms, histories=histories, threshold=threshold)
        yield "gradient_norms", "gradient norm of every update", draw


def _of_flow(taken: Sequence[Taken], horizon: int) -> Iterator[Drawing]:
    """Of the gradient flow, and of the Lyapunov exponents that predict its decay."""
    flows, exponents = _series(taken, Flow), _series(taken, Lyapunov)
    if flows:
        profiles = [(update, _log_shares(measured)) for update, measured in flows]
        curves = flow.flow_curves(profiles, exponents[-1][1].exponents[0] if exponents else math.nan, FROM)
        draw = partial(flow.draw_flow_by_lag, curves=curves, horizon=horizon, thresholds=(VANISHED, EXPLODED))
        yield "flow_over_lag", "gradient flow: what is left of the gradient of one step's loss", draw
    if len(flows) > 1:
        yield "flow_over_updates", "gradient flow over training", partial(_draw_flow_map, flows=flows, horizon=horizon)
    if len(flows) > 1 and exponents:
        decays = [(update, measured.joint.decay, measured.joint.decay_error) for update, measured in flows]
        largest = [(update, float(measured.exponents[0])) for update, measured in exponents]
        draw = partial(flow.draw_decay, decays=decays, exponents=largest)
        yield "decay_over_updates", "rate of decay of the gradient, measured and predicted", draw


def _of_others(taken: Sequence[Taken]) -> Iterator[Drawing]:
    if (exponents := _series(taken, Lyapunov)) and len(exponents[0][1].exponents) > 1:
        by_update = [(update, measured.exponents) for update, measured in exponents]
        draw = partial(spectra.draw_exponents, spectra=by_update, errors=exponents[-1][1].errors)
        yield "lyapunov_spectrum", "Lyapunov spectrum", draw
    if profiles := _series(taken, Backpropagated):
        curves = _step_curves(profiles)
        title = "gradient of the training loss in the states of the top layer"
        yield "gradient_by_time", title, partial(norms.draw_norms_by_step, curves=curves)
    if biases := _series(taken, Truncation):
        last = biases[-1][1]
        curves = curves_by_update([(update, bias.k2, bias.error) for update, bias in biases])
        curves.append(Curve(last.k2, last.bound, "bound on the last", truncation.BOUND))
        title = "truncation bias (near 0 until outputs depend on the past: it says nothing there)"
        yield "truncation_bias", title, partial(truncation.draw_truncation_error, curves=curves)


def _step_curves(profiles: Series[Backpropagated]) -> list[Curve]:
    """A curve for each update; a gap where the gradient is zero or not finite."""
    logs = [(update, profile.mean[:, -1]) for update, profile in profiles]
    with np.errstate(over="ignore"):
        drawn = [(update, np.exp(np.where(np.isfinite(log), log, np.nan))) for update, log in logs]
    return curves_by_update([(update, np.arange(1, len(norm) + 1), norm) for update, norm in drawn])


def _draw_flow_map(axes: Axes, flows: Series[Flow], horizon: int) -> None:
    log_shares = np.stack([_log_shares(measured) for _, measured in flows])
    image = flow.draw_flow_map(axes, log_shares, [update for update, _ in flows], horizon)
    flow.add_colour_bar(image, [axes])


def _log_shares(measured: Flow) -> Float[np.ndarray, " lags"]:
    """log(phi_k / phi_0) of the memory in all layers, in nats."""
    log_phi = measured.memory.log_phi
    with np.errstate(invalid="ignore"):
        return log_phi - log_phi[0]


def _series(taken: Sequence[Taken], kind: type[Kind]) -> list[tuple[int, Kind]]:
    """All measurements of a kind, with their updates."""
    return [(update, m) for update, measures in taken for m in measures.values() if isinstance(m, kind)]
