"""What the clip policy was to a run, by the share of updates in which it acted.

Of a policy that looks at parts of the gradient (parameters, units, states of the network) an update counts by the share
of them that it clipped: one part of thousands is no limit on the step.
"""

from typing import Literal

import numpy as np

from study.analysis.diagnosis.facts import Course
from study.analysis.diagnosis.thresholds import MOST, RARE
from study.columns import acted

Clipping = Literal["none", "inactive", "guard", "frequent", "limiter"]


def clipping(course: Course, clipped: bool) -> tuple[Clipping, str]:
    """The role of clipping, and a sentence; `clipped`: there is a clip policy."""
    if not clipped:
        return "none", "no clipping"
    found = acted(course.norms, course.applied, course.share)
    counted = found[~np.isnan(found)]
    active = float(counted.mean()) if len(counted) else 0.0
    share = f"acted in {active:.1%} of the updates"
    guard = "a guard against rare spikes"
    limiter = "it sets the size of the step, much as a smaller learning rate would"
    if course.share is not None:
        share = f"acted on {active:.1%} of what it looks at, and in {(counted > 0).mean():.1%} of the updates"
        guard, limiter = "a guard: most of that is left alone", "a limiter: it cuts most of that"
    if active == 0:
        return "inactive", "clipping never acted: the run is the same without it"
    if active <= RARE:
        return "guard", f"clipping {share}: {guard}"
    if active <= MOST:
        return "frequent", f"clipping {share}: more than a guard, less than a rule"
    return "limiter", f"clipping {share}: {limiter}"
