"""What the lag does: the gradient over it, states that a recurrence cannot follow, states that are too sensitive."""

import math
from dataclasses import replace

import numpy as np

from study.analysis.causes.case import Case
from study.analysis.causes.tested import CauseTest
from study.analysis.diagnosis.cause import beyond_the_core, cursed, ill_over_lag, of_ruin
from study.analysis.diagnosis.over_lag import OverLag, over_lag
from study.analysis.diagnosis.thresholds import CHAOTIC, CURSED, EXPLODED, VANISHED


def gradient(case: Case) -> CauseTest:
    """What is left of the gradient at the horizon, or how it grows."""
    known = case.last if case.last.flow is not None else None
    lag = over_lag(case.setup, known, case.diagnosis.outcome == "solved")
    measured = _at_lag(case, lag)
    if lag.verdict in ("healthy", "kept", "latched"):
        return replace(measured, found="ruled out")
    if case.lost and lag.verdict in ("vanishing", "short memory"):
        return replace(measured, found="ruled out", why=f"{lag.sentence}: it did not grow before the run was destroyed")
    if lag.verdict not in ("vanishing", "exploding", "chaotic"):
        return measured if known else replace(measured, why=case.unmeasured("flow"))
    if case.lost and lag.verdict == "chaotic":
        return replace(measured, why=f"{lag.sentence}; whether that destroyed the run is not known")
    of = of_ruin(case.facts, lag.verdict, case.happened) if case.lost else None
    found = of or ill_over_lag(case.facts, lag.verdict, case.last)
    return measured if found is None else measured.by(found)


def _at_lag(case: Case, lag: OverLag) -> CauseTest:
    """The number that a verdict over the lag was made by; nothing is found yet."""
    flow, lyapunov, horizon = case.last.flow, case.last.lyapunov, case.setup.horizon
    open_ = CauseTest(
        "gradient", "gradient at the horizon over that at the loss", math.nan, VANISHED, "not measured", ""
    )
    open_ = replace(open_, why=lag.sentence)
    if lag.verdict == "chaotic" and lyapunov is not None:
        parted = float(lyapunov.exponents[0]) * horizon
        return replace(open_, measure="nats that nearby states part", value=parted, threshold=CHAOTIC)
    if flow is None or flow.nonfinite:
        return open_
    ratios = np.array([flow.memory.log_ratio(k) for k in range(flow.lags + 1)])
    with np.errstate(over="ignore"):
        if lag.verdict == "exploding":
            within = ratios if case.setup.reach is None else ratios[: case.setup.reach + 1]
            most = float(np.exp(within.max()))
            return replace(open_, measure="largest gradient over that at the loss", value=most, threshold=EXPLODED)
        return replace(open_, value=float(np.exp(ratios[min(horizon, flow.lags)])))


def expressivity(case: Case) -> CauseTest:
    """Whether the task is to follow a state, and the recurrence can."""
    setup, verdict = case.setup, case.diagnosis.verdict
    open_ = CauseTest("expressivity", "", math.nan, math.nan, "not measured", "")
    if not setup.tracks_state and not setup.horizon_known:
        return replace(open_, why="whether the data ask to follow a state that every step may change is not known")
    if not setup.tracks_state:
        return replace(open_, found="ruled out", why="the task asks to follow no state that every step may change")
    if not setup.more_expressive:
        return replace(open_, found="ruled out", why="nothing known keeps this recurrence from following a state")
    found = beyond_the_core(case.facts, verdict, case.last)
    if found is None:
        doubt = f"the gradient over the lag is {verdict}: a failure says nothing of what the recurrence could express"
        return replace(open_, why=doubt)
    return open_.by(found)


def sensitivity(case: Case) -> CauseTest:
    """How far small steps of the weights move the states."""
    open_ = CauseTest("sensitivity", "sensitivity of the state an entry", math.nan, CURSED, "not measured", "", "sign")
    taken = case.last.sensitivity
    if taken is None:
        return replace(open_, why=case.unmeasured("sensitivity"))
    ratio = float(taken.ratio[-1]) / case.setup.hidden_size
    if math.isnan(ratio):
        return replace(open_, why="the core has no recurrent parameters, or its states are no numbers")
    stated = f"the state is {ratio:.2g} times as sensitive to the recurrent weights as one without memory"
    measured = replace(open_, value=ratio, found="ruled out", why=stated)
    found = cursed(case.facts, case.diagnosis.verdict, case.last)
    return measured if found is None else measured.by(found)
