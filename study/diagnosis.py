"""From measures to a verdict, with the numbers that decided."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from study.probes.flow import Flow

Outcome = Literal["completed", "diverged", "failed"]
Verdict = Literal["vanishing", "exploding", "healthy", "undecided"]

VANISHED = 1e-3
"""Less of the gradient than this left at the task's horizon is vanishing."""
SPIKE = 100.0
"""A gradient norm above this multiple of the run's median is exploding."""


@dataclass(frozen=True)
class Diagnosis:
    """What became of a run, and of its gradients.

    Attributes:
        outcome: `completed` or `diverged`.
        verdict: of the gradients.
        sentence: the same for a reader, with the numbers.
    """

    outcome: Outcome
    verdict: Verdict
    sentence: str


def diagnose(norms: np.ndarray, diverged: int | None, flow: Flow | None, horizon: int) -> Diagnosis:
    """Judge a run.

    Exploding: the run diverged, or a gradient norm (before clipping) exceeded `SPIKE` times the median, or the flow
    grows with the lag. Vanishing: less than `VANISHED` of the gradient is left at the task's horizon.

    Args:
        norms: the gradient norm before clipping of every update.
        diverged: the update at which the run left the finite numbers, or None.
        flow: measured at the end of the run; None where it was not.
        horizon: the lag at which the task needs the past.
    """
    if diverged is not None:
        return Diagnosis("diverged", "exploding", _spike(norms) + f"; at update {diverged} the run diverged")
    finite = norms[np.isfinite(norms)]
    if len(finite) and finite.max() > SPIKE * np.median(finite):
        return Diagnosis("completed", "exploding", _spike(norms))
    if flow is None or not math.isfinite(flow.phi[0]):
        return Diagnosis("completed", "undecided", "the gradient flow was not measured")
    lag = min(horizon, len(flow.phi) - 1)
    reach = flow.reach(lag)
    sentence = (
        f"the gradient {lag} steps back is {reach:.1e} of that at the loss; half-life {flow.half_life:.1f} steps, "
        f"effective horizon {flow.horizon} steps"
    )
    if lag < horizon:
        return Diagnosis("completed", "undecided", f"sequences are shorter than the horizon of {horizon}; {sentence}")
    if flow.decay > 0 and reach > 1:
        return Diagnosis("completed", "exploding", sentence)
    return Diagnosis("completed", "vanishing" if reach < VANISHED else "healthy", sentence)


def _spike(norms: np.ndarray) -> str:
    """The largest finite norm against the median."""
    finite = np.where(np.isfinite(norms), norms, 0.0)
    if not finite.any():
        return "no update had a finite gradient"
    peak, median = finite.argmax(), np.median(finite[finite > 0])
    return (
        f"the gradient norm reached {finite[peak]:.1e} at update {peak + 1}, {finite[peak] / median:.0f} times its "
        f"median {median:.1e}"
    )
