"""What the gradient of one step's loss does over the lag.

It is judged by phi_k / phi_0 of `study.probes.flow`, for the memory of all layers together:

    exploding      above `EXPLODED` at some lag that the training reaches (k2 - 1): growth WITH the lag. With k2 = 1 no
                   product of Jacobians enters the gradient, and nothing can explode over time
    chaotic        nearby states of a network whose states are bounded part `CHAOTIC` nats within the horizon
    healthy        `VANISHED` to `EXPLODED` at the horizon
    vanishing      below `VANISHED` there, and the task is known to need the past that far back
    short memory   below it there, but the horizon is somebody's guess: perhaps the task needs no more
    kept           below it there, although the memory itself loses nothing from step to step: it is read weakly
    latched        below it there, but the task is solved: what is needed is kept in states that saturate, through which
                   no gradient flows, by necessity (Bengio, Simard & Frasconi 1994)
    undecided      closer to a threshold than `CONFIDENCE` standard errors, or not measured, or nobody states a horizon

A network that its own updates destroyed says nothing about the lag: of a run that was ruined or diverged only
`exploding` is concluded, from the last measures before the event.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from study.analysis.diagnosis.facts import Probed, Setup
from study.analysis.diagnosis.thresholds import CHAOTIC, CONFIDENCE, EXPLODED, KEPT, VANISHED
from study.probes.decay import half_life
from study.probes.flow import Flow, Profile
from study.probes.lyapunov import Lyapunov

Verdict = Literal["vanishing", "exploding", "chaotic", "healthy", "short memory", "kept", "latched", "undecided"]
ILL = ("vanishing", "exploding", "chaotic")
"""Verdicts on gradients with which the past cannot be learnt."""


@dataclass(frozen=True)
class OverLag:
    """A verdict with its sentence."""

    verdict: Verdict
    sentence: str


def over_lag(setup: Setup, probed: Probed | None, solved: bool = False) -> OverLag:
    """Judge the gradient over the lag by the measures of one update; None: there are none."""
    flow = probed.flow if probed else None
    if probed is None or flow is None:
        return OverLag("undecided", "the gradient flow was not measured")
    if flow.nonfinite:
        lost = f"{len(flow.nonfinite)} of {flow.lags + 1} lags, the first {flow.nonfinite[0]} steps back"
        return OverLag("undecided", f"the gradient flow is not finite at {lost}")
    if np.isneginf(flow.memory.log_phi[0]):
        return OverLag("undecided", "the loss has no gradient at all")
    chaos = None if solved else _chaotic(probed.lyapunov, setup.horizon)
    return chaos or _exploding(setup, flow.memory) or _at_horizon(setup, flow, solved)


def _chaotic(lyapunov: Lyapunov | None, horizon: int) -> OverLag | None:
    if lyapunov is None or not lyapunov.bounded:
        return None
    largest, error = lyapunov.exponents[0], lyapunov.errors[0]
    if not (largest - CONFIDENCE * error) * horizon > CHAOTIC:
        return None
    return OverLag(
        "chaotic",
        f"nearby states part by {largest:.2g} nats a step (largest Lyapunov exponent, standard error {error:.1g}), a "
        f"factor of {math.exp(largest * horizon):.1e} over the {horizon} steps of the task's horizon",
    )


def _exploding(setup: Setup, memory: Profile) -> OverLag | None:
    """Exploding where some lag within reach shows it; growth beyond reach but within the horizon gets its sentence."""
    reach = len(memory.log_norms) - 1 if setup.reach is None else setup.reach
    lags = range(1, min(len(memory.log_norms), max(reach, setup.horizon) + 1))
    clear = [k for k in lags if memory.log_ratio(k) - _margin(memory, k) > math.log(EXPLODED)]
    if not clear:
        return None
    within = [k for k in clear if k <= reach]
    worst = max(within or clear, key=memory.log_ratio)
    grown = f"the gradient {_steps(worst)} back is {_ratio(memory, worst):.1e} times that at the loss"
    if within:
        return OverLag("exploding", grown)
    return OverLag("undecided", f"{grown}, but the training reaches back {_steps(reach)} only")


def _at_horizon(setup: Setup, flow: Flow, solved: bool) -> OverLag:
    memory, horizon = flow.memory, setup.horizon
    if flow.lags < horizon:
        # What a task is known to need cannot be shorter than its sequences; a guess can be longer.
        if setup.horizon_known:
            said = _sentence(memory, flow.lags, "")
            return OverLag("undecided", f"sequences are too short to ask {horizon} steps back: {said}")
        horizon = flow.lags
    if not horizon:
        return OverLag("undecided", "sequences of one step have no lag")
    if not setup.horizon_given:
        said = _sentence(memory, horizon, "")
        return OverLag("undecided", f"{said}; how far back the task needs the past is not stated, so it is not judged")
    log_ratio, margin = memory.log_ratio(horizon), _margin(memory, horizon)
    sentence = _sentence(memory, horizon, ", the horizon of the task," if horizon == setup.horizon else "")
    below, above = math.log(VANISHED) - log_ratio, log_ratio - math.log(EXPLODED)
    if log_ratio > -math.inf and not (abs(below) > margin and abs(above) > margin):
        return OverLag("undecided", f"too close to a threshold to tell: {sentence}")
    if below <= 0:
        return OverLag("healthy", sentence)
    return _below(setup, memory, horizon, sentence, solved)


def _below(setup: Setup, memory: Profile, horizon: int, sentence: str, solved: bool) -> OverLag:
    """What too small a gradient at the horizon means."""
    if solved:
        return OverLag("latched", f"{sentence}; the task is solved all the same, so its states hold what it needs")
    if (abs(memory.decay) + CONFIDENCE * memory.decay_error) * horizon < KEPT:
        kept = f"from lag to lag it changes by {memory.decay:.1g} nats only: it is kept, but read weakly"
        return OverLag("kept", f"{sentence}; {kept}")
    if setup.horizon_known:
        return OverLag("vanishing", sentence)
    return OverLag(
        "short memory",
        f"{sentence}; the horizon is a guess, so the memory is short ({memory.horizon} of {_steps(horizon)}), not ill",
    )


def _margin(memory: Profile, lag: int) -> float:
    """NaN for a single sample: no comparison with it holds."""
    return CONFIDENCE * memory.log_ratio_error(lag)


def _ratio(memory: Profile, lag: int) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(memory.log_ratio(lag)))


def _sentence(memory: Profile, lag: int, which: str) -> str:
    last, decay = len(memory.log_norms) - 1, memory.decay
    trend = f"halves every {half_life(decay):.1f} steps" if decay < 0 else f"grows {decay:.2g} nats a step"
    return (
        f"the gradient {_steps(lag)} back{which} is {_ratio(memory, lag):.1e} of that at the loss; the effective "
        f"horizon (1% left) is {'at least ' if memory.horizon == last else ''}{_steps(memory.horizon)}, and further "
        f"back the gradient {trend}"
    )


def _steps(number: int) -> str:
    return f"{number} step" if number == 1 else f"{number} steps"
