"""What opponents, losses and sizes say: something to learn, more updates, overfitting, more units."""

import math
from dataclasses import replace

import numpy as np

from study.analysis.causes.case import Case
from study.analysis.causes.tested import NOTHING, CauseTest
from study.analysis.diagnosis.cause import hopeless, overfitted, still_falling
from study.analysis.diagnosis.thresholds import LEARNED, LEAST, STEEP, STILL
from study.standing import skill

FEWEST = 4
"""Validations that show a trend."""


def something(case: Case) -> CauseTest:
    """Whether an opponent, or the network, shows that there is something to learn."""
    standing, measure = case.facts.standing, "skill of the best opponent over the guess"
    open_ = CauseTest(NOTHING, measure, math.nan, LEARNED, "not measured", "the run was not compared with opponents")
    if standing is None:
        return open_
    if case.setup.horizon_known:
        return replace(open_, found="ruled out", why="the task is constructed: there is something to learn")
    rival, name = standing.opponent
    ahead = skill(rival, standing.baseline, standing.direction)
    stated = f"the best opponent, {name}, makes {ahead:.1%} less error than the guess without memory"
    measured = replace(open_, value=ahead, found="ruled out", why=stated)
    found = hopeless(case.facts, case.diagnosis.verdict, case.last)
    if found is None and not ahead > LEARNED:
        return replace(measured, why="the network itself is better than the guess without memory")
    return measured if found is None else measured.by(found)


def budget(case: Case) -> CauseTest:
    """Whether the loss was still falling."""
    losses, measure = case.facts.course.losses, "loss of the last quarter over the one before"
    open_ = CauseTest("budget", measure, math.nan, STILL, "not measured", "", "sign")
    third, fourth = (float(np.median(part)) if len(part) else math.nan for part in np.array_split(losses, 4)[2:])
    if len(losses) < 4 * LEAST or not fourth > 0:
        return replace(open_, why=f"{len(losses)} losses, or such below zero, show no trend")
    stated = f"the loss no longer fell: {third:.3g}, then {fourth:.3g} in the last quarter"
    measured = replace(open_, value=fourth / third, found="ruled out", why=stated)
    found = still_falling(case.facts, case.diagnosis.verdict, case.last)
    if found is None:
        return measured
    *before, end = case.facts.course.validations or [math.nan]
    lowest = min(before[: 3 * len(before) // 4], default=math.inf)
    if len(before) >= FEWEST - 1 and end >= lowest:
        return replace(
            measured, why=f"{found.evidence}, but the validation loss no longer: {lowest:.3g}, then {end:.3g}"
        )
    return measured.by(found)


def overfitting(case: Case) -> CauseTest:
    """Whether the validation loss followed the training loss."""
    course, measure = case.facts.course, "last training losses over the validation loss"
    end = float(np.median(course.losses[-LEAST:])) if len(course.losses) else math.nan
    ratio = end / course.validation if course.validation > 0 else math.nan
    stated = f"the training loss is {end:.3g} at the end, the validation loss {course.validation:.3g}"
    open_ = CauseTest("overfitting", measure, ratio, STEEP, "ruled out", stated, "sign")
    if math.isnan(ratio):
        return replace(open_, found="not measured")
    found = overfitted(case.facts, case.diagnosis.verdict, case.last)
    return open_ if found is None else open_.by(found)


def capacity(case: Case) -> CauseTest:
    """Left to a new run."""
    text = "no measure of a finished run shows it; only a new run at twice the width does"
    open_ = CauseTest("capacity", "", math.nan, math.nan, "not measured", text)
    return replace(open_, change=case.setup.wider, effect="twice the size")
