"""What became of a run.

The first of these that holds:

    diverged          the loss or a gradient left the finite numbers
    solved            the task's criterion of success is met on the test split
    ruined            the loss leapt to `LEAP` times the first one and stayed up, or the run ends at `RELAPSE` times
                      its best level, and the network ends no better than a guess without memory: its own updates
                      destroyed it
    learned nothing   no better than that guess (less than `LEARNED` of its error saved), without such a leap; or still
                      as it was drawn: a network that predicts next to nothing may beat a weak guess
    ahead             better than the best opponent by `LEVEL` of its error, where the task has no criterion of success
    completed         between the two
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from study.analysis.diagnosis.facts import Course, Facts, Standing
from study.analysis.diagnosis.thresholds import LEAP, LEARNED, LEAST, PASSED, RELAPSE, SHORT_WAY, STRETCH
from study.standing import skill
from study.standing import standing as stands
from study.tracking.outcomes import Outcome


class Leap(NamedTuple):
    """The highest loss of a run.

    Attributes:
        update: from 1.
        ratio: over the first loss; NaN where that is not above zero.
    """

    update: int
    ratio: float


def outcome(facts: Facts) -> tuple[Outcome, str]:
    """The outcome, and why in words; of a run that still trains `completed`."""
    standing = facts.standing
    if facts.course.diverged is not None:
        return "diverged", f"the run diverged at update {facts.course.diverged}"
    if standing is None:
        return "completed", ""
    if standing.solved:
        further = standing.unsolved_at
        short = f", not at length {further[0]} ({standing.measure} {further[1]:.4g})" if further else ""
        return "solved", f"the task is solved: {_reached(standing)}{short}"
    return _without_learning(facts, standing) or _with_learning(standing)


def _without_learning(facts: Facts, standing: Standing) -> tuple[Outcome, str] | None:
    reached = _reached(standing)
    if not beats_the_guess(standing):
        compared = f"{reached} is no better than a guess without memory ({standing.baseline:.4g})"
        return ("ruined" if was_ruined(facts.course) else "learned nothing"), compared
    if (way := longest_way(facts)) < SHORT_WAY:
        moved = f"its steps add up to {way:.1%} of its weights at most"
        return "learned nothing", f"{moved}, so {reached} is as it was drawn"
    return None


def _with_learning(standing: Standing) -> tuple[Outcome, str]:
    reached, (rival, name) = _reached(standing), standing.opponent
    if standing.solved is None and stands(standing.value, rival, standing.direction) == "ahead of":
        return "ahead", f"{reached} is ahead of the best opponent, {name} ({rival:.4g})"
    unsolved = "the task is not solved: " if standing.solved is False else ""
    return "completed", f"{unsolved}{reached}; without memory {standing.baseline:.4g}, {name} {rival:.4g}"


def _reached(standing: Standing) -> str:
    return f"{standing.measure} {standing.value:.4g} on test"


def beats_the_guess(standing: Standing) -> bool:
    """Whether the network is better than the guess without memory by `LEARNED` of its error; NaN is not."""
    return skill(standing.value, standing.baseline, standing.direction) > LEARNED


def longest_way(facts: Facts) -> float:
    """Upper estimate of how far the weights went, as a share of them: each step as long, for its rate, as the longest.

    NaN where no step was measured whose rate is known.
    """
    ways = [
        probed.geometry.weight_ratio * steps_like(probed.update, facts.course)
        for probed in facts.probed
        if probed.geometry is not None
    ]
    return max((way for way in ways if not math.isnan(way)), default=math.nan)


def steps_like(update: int, course: Course) -> float:
    """All updates, each counted by its rate over that of the one after `update`; NaN where that is 0 or not known.

    After the last update a schedule may have any rate: a cosine leaves none, and a step of no length says nothing.
    """
    rates, number = course.rates, len(course.losses)
    if rates is None or not number or (rates == rates[0]).all():
        return float(number)
    return float(rates.sum() / rates[update]) if update < number and rates[update] > 0 else math.nan


def was_ruined(course: Course) -> bool:
    """Whether the losses leapt far above the first one and stayed up, or end far above the best they have been."""
    return lasting_leap(course.losses) is not None or relapse(course.losses) >= RELAPSE


def lasting_leap(losses: Float[np.ndarray, " updates"]) -> int | None:
    """The first update (from 1) whose loss leapt and did not come straight back; None where there is none."""
    if not len(losses) or not losses[0] > 0:
        return None
    leaps = np.flatnonzero(losses >= LEAP * losses[0])
    return next((int(leap) + 1 for leap in leaps if not _passed(losses, int(leap))), None)


def _passed(losses: Float[np.ndarray, " updates"], leap: int) -> bool:
    """Whether the loss at place `leap` was a single bad window: the level after it is that before.

    Not where either level is unknown: in the first updates, and in the last.
    """
    before, after = losses[max(0, leap - STRETCH) : leap], losses[leap + 1 : leap + 1 + STRETCH]
    if min(len(before), len(after)) < LEAST:
        return False
    return bool(np.median(after) <= PASSED * np.median(before))


def highest(losses: Float[np.ndarray, " updates"]) -> Leap:
    """The highest loss of a run."""
    if not len(losses) or np.isnan(losses).all():
        return Leap(0, np.nan)
    peak = int(np.nanargmax(losses))
    return Leap(peak + 1, float(losses[peak] / losses[0]) if losses[0] > 0 else np.nan)


def relapse(losses: Float[np.ndarray, " updates"]) -> float:
    """The level at the end over the best level before; NaN for few updates, or where a level is not above zero."""
    levels = running_level(losses)
    best = levels.min() if len(levels) else np.nan
    return float(levels[-1] / best) if best > 0 else np.nan


def running_level(values: Float[np.ndarray, " updates"]) -> Float[np.ndarray, " levels"]:
    """Medians of every `STRETCH` updates in a row; of a fifth of the updates where that is less, but of `LEAST`."""
    stretch = max(LEAST, min(STRETCH, len(values) // 5))
    return pd.Series(values, dtype=float).rolling(stretch).median().dropna().to_numpy()
