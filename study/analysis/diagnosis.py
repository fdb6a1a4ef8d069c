"""From measures to a verdict on the gradients, with the numbers that decided. Thresholds stand here and nowhere else.

The question is always the one the task asks: of the gradient of a step's loss, what is left `horizon` steps before it?
`conf/task` says how far back that is. The ratio phi_horizon / phi_0 (`study.probes.flow`, the memory of all layers: h,
or c where there is one) decides:

    below 1%                vanishing: the effective horizon ends before the task's
    1% to 100               healthy
    above 100               exploding

where the ratio is further from a threshold than twice its standard error; else the evidence is thin: undecided.
Two measures tell a cause, where they were taken: gradients that vanish behind units half of which are saturated (or
dead) are `saturated`; nearby states that part at least twofold within the horizon, in a network whose states are
bounded, are `chaotic` (`study.probes.lyapunov`): its gradients grow with the lag, and it cannot be trained to tell
such states apart.

Before all that come the facts of the training itself: a gradient norm that leapt to 100 times its level, or left the
finite numbers, has exploded, whatever the flow is in the end. A run that diverged otherwise (its steps were too large,
say) is judged by the last flow that was measured before.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from study.probes.flow import REACHED, Flow, Profile
from study.probes.lyapunov import Lyapunov
from study.probes.saturation import Saturation

Outcome = Literal["completed", "diverged"]
Verdict = Literal["vanishing", "exploding", "healthy", "saturated", "chaotic", "undecided"]
Clipping = Literal["none", "inactive", "guard", "frequent", "limiter"]

VANISHED = REACHED
"""Less of the gradient than this left at the horizon is vanishing."""
EXPLODED = 1 / REACHED
"""More than this multiple of it is exploding."""
CONFIDENCE = 2.0
"""Standard errors a number must lie beyond a threshold."""
SPIKE = 100.0
"""A gradient norm above this multiple of its level, the median of the `LEVEL` updates before, is exploding."""
LEVEL = 50
CHAOTIC = math.log(2)
"""Nats that nearby states part over the horizon, from which on that is chaos."""
FLAT = 0.5
"""A larger share of saturated or dead units than this is what made the gradient vanish."""
RARE, MOST = 0.1, 0.5
"""Clipping in at most this share of the updates guards against spikes; in more than that it sets the step's size."""


@dataclass(frozen=True)
class Training:
    """What the updates themselves tell.

    Attributes:
        norms: the gradient norm before clipping of every update.
        applied: the same after it.
        diverged: the update at which the run left the finite numbers, or None.
        clip: whether there is a clip policy.
    """

    norms: Float[np.ndarray, " updates"]
    applied: Float[np.ndarray, " updates"]
    diverged: int | None
    clip: bool


@dataclass(frozen=True)
class Evidence:
    """What was measured at the end of a run; None where it was not.

    Attributes:
        horizon: the lag at which the task needs the past.
    """

    horizon: int
    flow: Flow | None = None
    lyapunov: Lyapunov | None = None
    saturation: Saturation | None = None


@dataclass(frozen=True)
class Diagnosis:
    """What became of a run, of its gradients, and what clipping did.

    Attributes:
        outcome: `completed` or `diverged`.
        verdict: of the gradients.
        sentence: the same for a reader, with the numbers that decided.
        clipping: what the clip policy was to this run.
        clipping_sentence: the same for a reader.
    """

    outcome: Outcome
    verdict: Verdict
    sentence: str
    clipping: Clipping
    clipping_sentence: str


def diagnose(training: Training, evidence: Evidence) -> Diagnosis:
    """Judge a run."""
    outcome: Outcome = "completed" if training.diverged is None else "diverged"
    verdict, sentence = (
        _exploded_in_training(training)
        or _chaotic(evidence.lyapunov, evidence.horizon)
        or _because(*_by_flow(evidence.flow, evidence.horizon), evidence.saturation)
    )
    if training.diverged is not None:
        sentence = f"the run diverged at update {training.diverged}; {sentence}"
    return Diagnosis(outcome, verdict, sentence, *_clipping(training))


def _exploded_in_training(training: Training) -> tuple[Verdict, str] | None:
    """Exploding where the gradient norm rose above `SPIKE` times its level, or left the finite numbers."""
    ratios, lost = spikes(training.norms), ~np.isfinite(training.norms)
    if (ratios > SPIKE).any():
        leaps = f"in {(ratios > SPIKE).sum()} of {len(ratios)} updates the gradient norm leapt"
        return "exploding", f"{leaps}; {_peak(training.norms, ratios)}"
    if lost.any():
        return "exploding", f"at update {int(lost.argmax()) + 1} the gradient norm left the finite numbers"
    return None


def _peak(norms: np.ndarray, ratios: np.ndarray) -> str:
    """The worst leap of the gradient norm."""
    worst = int(ratios.argmax())
    return f"at update {worst + 1} the gradient norm was {norms[worst]:.1e}, {ratios[worst]:.0f} times its level before"


def spikes(norms: Float[np.ndarray, " updates"]) -> Float[np.ndarray, " updates"]:
    """Every finite norm over its level: the median of the finite norms of the `LEVEL` updates before; else 0.

    The level is a local one: norms that fall a hundredfold while a network learns are no spikes at the start.
    """
    finite = pd.Series(norms, dtype=float).where(np.isfinite(norms))
    level = finite.rolling(LEVEL, min_periods=1).median().shift(1)
    return (finite / level.where(level > 0)).fillna(0.0).to_numpy()


def _chaotic(lyapunov: Lyapunov | None, horizon: int) -> tuple[Verdict, str] | None:
    """Chaotic where bounded states part at least twofold within the horizon."""
    if lyapunov is None or not lyapunov.bounded:
        return None
    largest, error = lyapunov.exponents[0], lyapunov.errors[0]
    if not (largest - CONFIDENCE * error) * horizon > CHAOTIC:
        return None
    return "chaotic", (
        f"nearby states part by {largest:.2g} nats a step (largest Lyapunov exponent, standard error {error:.1g}), a "
        f"factor of {math.exp(largest * horizon):.1e} over the horizon of the task, {horizon} steps"
    )


def _because(verdict: Verdict, sentence: str, saturation: Saturation | None) -> tuple[Verdict, str]:
    """Saturated, where that is why the gradient vanishes."""
    if verdict != "vanishing" or saturation is None or not saturation.blocking > FLAT:
        return verdict, sentence
    return "saturated", f"{saturation.blocking:.0%} of the units are saturated or dead: {sentence}"


def _by_flow(flow: Flow | None, horizon: int) -> tuple[Verdict, str]:
    """Vanishing, exploding or healthy by what is left of the gradient at the horizon."""
    if flow is None:
        return "undecided", "the gradient flow was not measured"
    if flow.nonfinite:
        lost = f"{len(flow.nonfinite)} of {flow.lags + 1} lags, the first {flow.nonfinite[0]} steps back"
        return "undecided", f"the gradient flow is not finite at {lost}"
    lag, memory = min(horizon, flow.lags), flow.memory
    if np.isneginf(memory.log_phi[0]):
        return "undecided", "the loss has no gradient at all"
    sentence = _flow_sentence(memory, lag, horizon)
    if lag < horizon:
        return "undecided", f"sequences are too short to ask {horizon} steps back: {sentence}"
    return _by_ratio(memory.log_ratio(lag), CONFIDENCE * memory.log_ratio_error(lag), sentence)


def _by_ratio(log_ratio: float, margin: float, sentence: str) -> tuple[Verdict, str]:
    """On which side of the thresholds the ratio lies, if it lies clearly there; no gradient left lies below all."""
    if log_ratio == -math.inf:
        return "vanishing", sentence
    below, above = math.log(VANISHED) - log_ratio, log_ratio - math.log(EXPLODED)
    if not (abs(below) > margin and abs(above) > margin):
        return "undecided", f"too close to a threshold to tell: {sentence}"
    return "vanishing" if below > 0 else "exploding" if above > 0 else "healthy", sentence


def _flow_sentence(memory: Profile, lag: int, horizon: int) -> str:
    """What a student reads."""
    last = len(memory.log_norms) - 1
    with np.errstate(over="ignore"):
        ratio = np.exp(memory.log_ratio(lag))
    trend = (
        f"halves every {memory.half_life:.1f} steps" if memory.decay < 0 else f"grows {memory.decay:.2g} nats a step"
    )
    where = f"{lag} steps back" + (", the horizon of the task," if lag == horizon else "")
    return (
        f"the gradient {where} is {ratio:.1e} of that at the loss; the effective horizon (1% left) is "
        f"{'at least ' if memory.horizon == last else ''}{memory.horizon} steps, and further back the gradient {trend}"
    )


def _clipping(training: Training) -> tuple[Clipping, str]:
    """What clipping was to this run, by the share of updates in which it acted."""
    if not training.clip:
        return "none", "no clipping"
    finite = np.isfinite(training.norms)
    active = float((training.applied < training.norms)[finite].mean()) if finite.any() else 0.0
    share = f"acted in {active:.1%} of the updates"
    if active == 0:
        return "inactive", "clipping never acted: the run is the same without it"
    if active <= RARE:
        return "guard", f"clipping {share}: a guard against rare spikes"
    if active <= MOST:
        return "frequent", f"clipping {share}: more than a guard, less than a rule"
    return "limiter", f"clipping {share}: it sets the size of the step, much as a smaller learning rate would"
