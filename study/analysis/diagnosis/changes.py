"""Changes of a run that would test a cause: overrides for the command line, and what they are in words."""

import numpy as np
from jaxtyping import Float

from study.analysis.diagnosis.facts import Course, Facts
from study.analysis.diagnosis.thresholds import EARLY, PERCENTILE, USUAL_STEP

Change = tuple[str, str]


def rate(facts: Facts, factor: float) -> Change:
    """Another learning rate: so many times this one."""
    words = f"{factor:g} times the learning rate" if factor > 1 else f"the learning rate over {1 / factor:.0f}"
    return f"optimizer.lr={facts.setup.rate * factor:.2g}", words


def usual_step(facts: Facts, weight_ratio: float) -> Change:
    """The learning rate whose step is of the usual size.

    Args:
        facts: of the run.
        weight_ratio: norm of a step over the norm of the weights, at the rate of the run.
    """
    smaller = f"optimizer.lr={facts.setup.rate * USUAL_STEP / weight_ratio:.1g}"
    return smaller, f"a step then moves the weights by {USUAL_STEP:.0%}; before it happened it was {weight_ratio:.0%}"


def gain(facts: Facts, factor: float) -> Change:
    """Other recurrent weights at the start; another learning rate for a core that has no such scale."""
    if facts.setup.gain is None:
        return rate(facts, factor)
    return f"model.gain={facts.setup.gain * factor:.2g}", "a weaker recurrence at the start"


def threshold(norms: Float[np.ndarray, " updates"]) -> float:
    """A clip threshold on the scale of some norms: a percentile of those that are finite; 1 without one."""
    finite = norms[np.isfinite(norms)]
    return float(np.percentile(finite, PERCENTILE)) if len(finite) else 1.0


def clip(course: Course, until: int) -> Change:
    """Clipping on the scale of the norms measured: those of the first updates, before number `until`."""
    early = course.norms[: max(1, min(EARLY, until - 1))]
    count = int(np.isfinite(early).sum())
    scale = f"the {PERCENTILE}th percentile of the first {count} norms" if count else "no norm was finite"
    return f"clip=norm clip.threshold={threshold(early):.2g}", scale
