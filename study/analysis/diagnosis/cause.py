"""What kept a run from more, and the one change that would test it.

A cause is a hypothesis: it is the change that tests it. The first rule that holds,

of a run that was ruined or diverged
    gradient       the gradient grew with the lag before it happened: clip it
    reach          the truncated gradient was measured to point away from the whole one: small steps climb; raise k2
    step size      else: its own steps destroyed it: a lower learning rate. It says so where growth with the lag was
                   not measured, and so is not ruled out

of a run that learned nothing, did not solve its task, or whose gradient is ill
    reach          gradients are cut off before the lag that the task is known to need: raise k2
    saturation     the gradient vanishes behind units that are flat: from the start, or since the run trains
    gradient       it vanishes otherwise, explodes, or the network is chaotic
    step size      its steps add up to next to nothing (raise the rate), or are longer than the curvature of the loss
                   allows (lower it)
    sensitivity    a small step of the weights moves the states far (Zucchet & Orvieto 2024)
    expressivity   the gradient is healthy, the task is to follow a state, and no recurrence of this kind follows it at
                   every length: that is known before any training, so it comes before what more training could change.
                   It is also the one cause of a run that solved its task, but not at a further length
    budget         the loss was still falling when the updates were used up
    overfitting    the training loss fell far, and the validation loss did not follow
    capacity       the gradient is healthy, and part of the task was learnt
    unknown        none of these
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from study.analysis.diagnosis import changes
from study.analysis.diagnosis.events import Event
from study.analysis.diagnosis.facts import Facts, Probed
from study.analysis.diagnosis.outcome import beats_the_guess, longest_way
from study.analysis.diagnosis.over_lag import ILL, Verdict, over_lag
from study.analysis.diagnosis.thresholds import (
    AT_ONCE,
    CURSED,
    EARLY,
    EDGE,
    FLAT,
    LEARNED,
    LEAST,
    SHORT_WAY,
    STEEP,
    STILL,
    USUAL_STEP,
)
from study.standing import skill
from study.tracking.outcomes import Outcome

Name = Literal[
    "none",
    "reach",
    "step size",
    "saturation",
    "gradient",
    "sensitivity",
    "budget",
    "overfitting",
    "expressivity",
    "capacity",
    "unknown",
]


FIXED = "bptt.k2"
"""The key of a truncation of one length; that of an adaptive one is not the one in force."""


class Cause(NamedTuple):
    """What may have kept a run from more.

    Attributes:
        name: of the cause.
        evidence: what speaks for it; empty where the events say it all.
        change: overrides of the run that would test it; empty where there are none.
        effect: what the change is.
    """

    name: Name
    evidence: str = ""
    change: str = ""
    effect: str = ""


def cause(facts: Facts, outcome: Outcome, verdict: Verdict, happened: Sequence[Event]) -> Cause:
    """The cause, by the events in their order and the last measures."""
    if outcome in ("ruined", "diverged"):
        return of_ruin(facts, verdict, happened)
    unsolved = outcome == "learned nothing" or (facts.standing is not None and facts.standing.solved is False)
    last = facts.probed[-1] if facts.probed else Probed(0)
    if outcome == "solved" or not (unsolved or verdict in ILL):
        short = facts.standing is not None and facts.standing.unsolved_at is not None
        return (beyond_the_core(facts, verdict, last) if short else None) or Cause("none")
    before_training = (hopeless, cut_off, ill_over_lag, short_way, beyond_the_edge, cursed, beyond_the_core)
    rules = (*before_training, still_falling, overfitted, partly_learnt)
    return next(filter(None, (rule(facts, verdict, last) for rule in rules)), _unknown(facts))


def ruin(facts: Facts, happened: Sequence[Event]) -> int:
    """The update at which a ruin was first to be seen."""
    leaps = [event.update for event in happened if event.kind in ("loss", "norm")]
    return min([*leaps, facts.course.diverged or len(facts.course.losses)])


def before_the_ruin(facts: Facts, happened: Sequence[Event]) -> list[Probed]:
    """The measurements before the step that led to it: the one before the update that shows it."""
    return [probed for probed in facts.probed if probed.update < max(1, ruin(facts, happened) - 1)]


def of_ruin(facts: Facts, verdict: Verdict, happened: Sequence[Event]) -> Cause:
    """Of a destroyed run: the gradient, if it grew with the lag before that or pointed uphill; else its own steps."""
    first = ruin(facts, happened)
    if verdict == "exploding":
        return _growing(facts, first)
    before = before_the_ruin(facts, happened)
    last = before[-1] if before else Probed(0)
    if climbed := climbs(facts, last):
        return climbed
    unmeasured = last.flow is None and facts.setup.reach != 0
    doubt = "whether the gradient grew with the lag before that was not measured" if unmeasured else ""
    if last.geometry is not None and last.geometry.weight_ratio > 3 * USUAL_STEP:
        return Cause("step size", doubt, *changes.usual_step(facts, last.geometry.weight_ratio))
    return Cause("step size", doubt, *changes.rate(facts, 1 / 10 if first <= AT_ONCE else 1 / 3))


def climbs(facts: Facts, last: Probed) -> Cause | None:
    """The truncated gradient points away from the whole one, on every part of the measured batch."""
    bias, setup = last.truncation, facts.setup
    if bias is None or setup.reach is None or setup.reach_key != FIXED or (k2 := setup.reach + 1) not in bias.k2:
        return None
    cosine, parts = float(bias.cosine[bias.k2.index(k2)]), bias.cosines[bias.k2.index(k2)]
    if not (cosine < 0 and (parts < 0).all()):
        return None
    climbed = f"at k2 = {k2} its cosine with the whole gradient was {cosine:.2g}: a small step along it climbs"
    return Cause("reach", climbed, f"{FIXED}={2 * k2}", "twice the reach")


def _growing(facts: Facts, until: int) -> Cause:
    """Cause `gradient`: to clip helps where the growth came while the run trained; else the start is to blame."""
    at_the_start = over_lag(facts.setup, facts.probed[0]).verdict == "exploding"
    if facts.setup.clipped or at_the_start:
        return Cause("gradient", "", *changes.gain(facts, 1 / 2))
    return Cause("gradient", "", *changes.clip(facts.course, until))


def hopeless(facts: Facts, verdict: Verdict, last: Probed) -> Cause | None:
    """No opponent learned anything either."""
    standing = facts.standing
    if standing is None or facts.setup.horizon_known or beats_the_guess(standing):
        return None
    rival, name = standing.opponent
    if skill(rival, standing.baseline, standing.direction) > LEARNED:
        return None
    return Cause("unknown", f"the best opponent, {name}, knows no more: there may be nothing to be learnt")


def cut_off(facts: Facts, verdict: Verdict, last: Probed) -> Cause | None:
    """Gradients end before the lag that the task is known to need."""
    setup = facts.setup
    if not setup.horizon_known or setup.reach is None or setup.reach >= setup.horizon:
        return None
    return Cause(
        "reach",
        f"gradients reach back {setup.reach} steps, and the task needs the past {setup.horizon} steps back",
        f"{setup.reach_key}={setup.horizon + 1}",
        "the shortest truncation that reaches it",
    )


def short_way(facts: Facts, verdict: Verdict, last: Probed) -> Cause | None:
    """The steps add up to next to nothing."""
    if not (way := longest_way(facts)) < SHORT_WAY:
        return None
    added = f"all steps, each as long for its rate as the longest measured, add up to {way:.1%} of the weights"
    return Cause("step size", added, *changes.rate(facts, 10.0))


def ill_over_lag(facts: Facts, verdict: Verdict, last: Probed) -> Cause | None:
    """The gradient explodes or vanishes with the lag, or the network is chaotic; behind flat units it is saturation."""
    setup = facts.setup
    if verdict == "exploding":
        return _growing(facts, EARLY + 1)
    if verdict == "chaotic":
        return Cause("gradient", "", *changes.gain(facts, min(1 / 2, 1 / (setup.gain or 1))))
    if verdict != "vanishing":
        return None
    return _saturation(facts) or Cause("gradient", "", setup.longer_memory, "gradients that last longer")


def _saturation(facts: Facts) -> Cause | None:
    """Units that are flat at the end: from the start if they were so at the first measurement, else as a result."""
    shares = [(p.update, p.saturation.blocking) for p in facts.probed if p.saturation is not None]
    if not shares or not shares[-1][1] > FLAT:
        return None
    (start, before), (_, now) = shares[0], shares[-1]
    flat = f"{now:.0%} of the units are saturated or dead"
    if len(shares) > 1 and before <= FLAT:
        return Cause("saturation", f"{flat}, {before:.0%} after {start} updates", *changes.rate(facts, 1 / 3))
    since = f"{flat}, and {before:.0%} after {start} updates" if len(shares) > 1 else flat
    return Cause("saturation", since, *changes.gain(facts, 1 / 3))


def beyond_the_edge(facts: Facts, verdict: Verdict, last: Probed) -> Cause | None:
    """The last step was longer than the curvature of the loss allows."""
    if last.sharpness is None or not last.sharpness.of_limit > EDGE:
        return None
    beyond = f"steps are {last.sharpness.of_limit:.1f} times as long as the curvature of the loss allows"
    return Cause("step size", beyond, *changes.rate(facts, 1 / 3))


def cursed(facts: Facts, verdict: Verdict, last: Probed) -> Cause | None:
    """A small step of the weights moves the states far."""
    if last.sensitivity is None:
        return None
    ratio = float(last.sensitivity.ratio[-1]) / facts.setup.hidden_size
    if not ratio > CURSED:
        return None
    moved = f"the state is {ratio:.0f} times as sensitive to the recurrent weights as one without memory"
    return Cause("sensitivity", moved, *changes.rate(facts, 1 / 3))


def beyond_the_core(facts: Facts, verdict: Verdict, last: Probed) -> Cause | None:
    """The task is to follow a state that no recurrence of this kind follows at every length."""
    if not (facts.setup.tracks_state and facts.setup.more_expressive) or verdict not in ("healthy", "kept"):
        return None
    limit = "the gradient reaches back, but no recurrence of this kind follows the state of the task at every length"
    return Cause("expressivity", limit, facts.setup.more_expressive, "a recurrence that can")


def still_falling(facts: Facts, verdict: Verdict, last: Probed) -> Cause | None:
    """The loss was still falling when the updates were used up."""
    losses = facts.course.losses
    if len(losses) < 4 * LEAST:
        return None
    third, fourth = np.array_split(losses, 4)[2:]
    if not 0 < np.median(fourth) < STILL * np.median(third):  # of a log-likelihood below zero a share says nothing
        return None
    falling = f"the loss was still falling: {np.median(third):.3g}, then {np.median(fourth):.3g} in the last quarter"
    return Cause("budget", falling, facts.setup.longer_training, "three times the budget")


def overfitted(facts: Facts, verdict: Verdict, last: Probed) -> Cause | None:
    """The training loss fell far, and the validation loss did not follow."""
    losses, validation = facts.course.losses, facts.course.validation
    if not len(losses):
        return None
    start, end = (float(np.median(part)) for part in (losses[:LEAST], losses[-LEAST:]))
    if not (0 < end < STEEP * start and end < STEEP * validation):
        return None
    fell = f"the training loss fell from {start:.3g} to {end:.3g}, and the validation loss is {validation:.3g}"
    return Cause("overfitting", fell, "trainer.patience=3", "stop when the validation loss no longer falls")


def partly_learnt(facts: Facts, verdict: Verdict, last: Probed) -> Cause | None:
    """Part of the task was learnt, with a healthy gradient."""
    if verdict != "healthy" or facts.standing is None or not beats_the_guess(facts.standing):
        return None
    part = "part of the task was learnt"
    return Cause("capacity", part, facts.setup.wider, "twice the size")


def _unknown(facts: Facts) -> Cause:
    return Cause("unknown", "", facts.setup.longer_training, "three times the budget: plateaus may end late")
