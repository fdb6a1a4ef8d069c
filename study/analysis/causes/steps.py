"""Step size: steps that destroyed a run, that add up to nothing, or that are longer than the curvature allows."""

import math
from dataclasses import replace

from study.analysis.causes.case import Case, left
from study.analysis.causes.tested import CauseTest
from study.analysis.diagnosis import changes
from study.analysis.diagnosis.cause import beyond_the_edge, of_ruin, short_way
from study.analysis.diagnosis.outcome import highest, longest_way
from study.analysis.diagnosis.thresholds import EDGE, LEAP, SHORT_WAY

ROOM = 1 / 3
"""Steps shorter than this share of what the curvature allows leave room for three times the rate."""


def step_size(case: Case) -> CauseTest:
    """Of a run that was not destroyed: the way that its steps made, and what the curvature allows."""
    facts, verdict, last = case.facts, case.diagnosis.verdict, case.last
    way = longest_way(facts)
    measured = CauseTest("step size", "all steps together over the weights", way, SHORT_WAY, "ruled out", "")
    if found := short_way(facts, verdict, last):
        return measured.by(found)
    far = "" if math.isnan(way) else f"the steps add up to {way:.0%} of the weights at most; "
    allowed = math.nan if last.sharpness is None else last.sharpness.of_limit
    measured = replace(measured, measure="step over what the curvature allows", value=allowed, threshold=EDGE)
    measured = replace(measured, evidence="sign")
    if found := beyond_the_edge(facts, verdict, last):
        return measured.by(found)
    if math.isnan(allowed):
        limitless = "the limit of this optimizer is not known" if last.sharpness else case.unmeasured("sharpness")
        return left(measured, f"{far}{limitless}", changes.rate(facts, 1 / 3))
    stated = f"{far}the last one was {allowed:.2g} times as long as the curvature of the loss allows"
    if allowed >= ROOM:
        return replace(measured, why=stated)
    return left(measured, f"{stated}: there is room for a larger rate", changes.rate(facts, 3.0))


def ruinous_steps(case: Case) -> CauseTest:
    """Of a run that was destroyed: the loss that shows it, and whether the gradient had grown with the lag before."""
    course = case.facts.course
    leapt = math.inf if course.diverged else highest(course.losses).ratio
    leaps = [event.words for event in case.happened if event.kind in ("loss", "norm")]
    seen = (
        f"it left the finite numbers at update {course.diverged}"
        if course.diverged
        else [*leaps, "the loss rose again"][0]
    )
    measured = CauseTest("step size", "highest loss over the first one", leapt, LEAP, "supported", "")
    found = of_ruin(case.facts, case.diagnosis.verdict, case.happened)
    if found.name != "step size":
        before = "the gradient had pointed uphill" if found.name == "reach" else "the gradient had grown with the lag"
        return replace(measured, found="not measured", why=f"{seen}, after {before}: long steps follow from that")
    doubt = f"; {found.evidence}" if found.evidence else ""
    return measured.by(found._replace(evidence=f"{seen}: its own updates destroyed it{doubt}"))
