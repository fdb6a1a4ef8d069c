"""Short forks that tell causes apart: which ones to make, and what a fork says beside its parent.

A fork has the data, the order and the random state of its parent from an update on, so the rest of the parent is its
control. It is better only beyond the parent's own scatter, and by no less than another seed would change. A rate that
is lowered near the end of a training takes noise out of the loss, whatever kept the run from more: so a gain by it says
that shorter steps do better there, and not that they would have from the start.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from study.analysis.causes.course import FEWEST
from study.analysis.causes.tested import CauseTest, Evidence, Found
from study.analysis.diagnosis import changes
from study.analysis.diagnosis.facts import Facts
from study.schema import Config
from study.standing import LEVEL

SPREADS = 2.0
"""Standard deviations, or standard errors, of the parent that a difference must exceed."""
LATEST = 6
"""The last ones are taken, at most so many and of the last half: far before, a run still fell."""
BLOCKS = 8
"""Parts of a stretch of training losses whose means are taken as independent."""
FORKABLE = ("optimizer.", "clip", "bptt.")
"""What changes of these keys can be a fork: others change the weights that a run starts with, or its end."""


class Contrast(NamedTuple):
    """A run that is made to test a cause.

    Attributes:
        cause: that it tests.
        overrides: of the run.
        effect: what they do, in words.
        anew: it is a new run, from its own first update on, no fork.
    """

    cause: str
    overrides: tuple[str, ...]
    effect: str
    anew: bool = False


class Stretch(NamedTuple):
    """The updates of a run that are compared.

    Attributes:
        losses: of training.
        validation: its loss after the last of them; NaN where it was not measured.
        lost: the run was destroyed in them.
    """

    losses: Float[np.ndarray, " updates"]
    validation: float
    lost: bool = False


def contrasts(tests: Sequence[CauseTest], facts: Facts, config: Config, longest: int, lost: bool) -> list[Contrast]:
    """The forks, and the new run, that the tests ask for.

    Args:
        tests: of the run.
        facts: of the run.
        config: of the run.
        longest: steps of its longest training sequence.
        lost: it was destroyed.
    """
    proposed = [
        Contrast(test.cause, tuple(test.change.split()), test.effect)
        for test in tests
        if test.cause in ("gradient", "saturation") and test.change.startswith(FORKABLE)
    ]
    steps = next((test for test in tests if test.cause == "step size"), None)
    rates = [] if steps is None else _rates(steps, facts, lost)
    if lost:
        return [*rates, *proposed]
    wider = [Contrast(test.cause, (test.change,), test.effect, anew=True) for test in tests if test.cause == "capacity"]
    return [*_longer(facts, config, longest), *rates, *proposed, *wider]


def _rates(steps: CauseTest, facts: Facts, lost: bool) -> list[Contrast]:
    """The rate that a decisive measurement proposes; else a third of it, and three times it if that may help."""
    third, thrice = changes.rate(facts, 1 / 3), changes.rate(facts, 3.0)
    sure = steps.found == "supported" and steps.evidence == "decisive"
    tried = [(steps.change, steps.effect)] if sure else [third]
    if steps.found == "not measured" and not lost:
        tried.append(thrice)
    return [Contrast("step size", (change,), effect) for change, effect in tried]


def _longer(facts: Facts, config: Config, longest: int) -> list[Contrast]:
    """A longer reach with as many updates as before: losses are taken where they were, k1 steps apart."""
    setup, plan = facts.setup, config.bptt
    if setup.reach is None or setup.reach_key != "bptt.k2":
        return []
    k2 = setup.reach + 1
    longer = min(longest, max(2 * k2, setup.horizon + 1 if setup.horizon_known else 0))
    if longer <= k2:
        return []
    return [Contrast("reach", (f"bptt.k1={plan.stride[1] or k2}", f"bptt.k2={longer}"), f"k2 = {longer}, not {k2}")]


def scatter(validations: Sequence[float]) -> float:
    """The standard deviation of a run's validations around their trend; NaN where there are too few."""
    count = max(FEWEST, min(LATEST, len(validations) // 2))
    if len(latest := np.asarray(validations[-count:], float)) < FEWEST:
        return math.nan
    steps = np.diff(latest)
    count = len(steps)  # neighbouring differences share a validation, and their mean is taken off
    return float(np.sqrt(np.square(steps - steps.mean()).sum() / (2 * count - 2 / count)))


def compared(contrast: Contrast, parent: Stretch, other: Stretch, spread: float) -> CauseTest:
    """What a run says beside its parent.

    Args:
        contrast: how it differs.
        parent: the parent's updates.
        other: the same number of them, of the run.
        spread: see `scatter`, of the parent.
    """
    what = f"{' '.join(contrast.overrides)} ({contrast.effect}{', a new run' if contrast.anew else ''})"
    gain, level, of = _gain(parent, other, spread)
    # Other weights are no pair, and a wider network learns faster at first, whatever the smaller one could hold.
    evidence: Evidence = "sign" if contrast.anew else "fork"
    measured = CauseTest(contrast.cause, f"gain in the {of} loss", gain, level, "ruled out", "", evidence)
    measured = replace(measured, change=" ".join(contrast.overrides), effect=contrast.effect)
    if other.lost:
        return replace(measured, value=-math.inf, why=f"with {what} the run is destroyed too")
    if parent.lost:
        return replace(measured, value=math.inf, found="supported", why=f"with {what} the run is not destroyed")
    lower = f"{abs(gain):.1%} {'lower' if gain >= 0 else 'higher'}"
    count = f"{level:.1%} would count" + (", by the scatter of the run itself" if level > LEVEL else "")
    text = f"with {what} the {of} loss is {lower} after {len(other.losses)} updates; {count}"
    found: Found = "supported" if gain > level else "not measured" if gain > LEVEL else "ruled out"
    return replace(measured, found=found, why=text)


def _gain(parent: Stretch, other: Stretch, spread: float) -> tuple[float, float, str]:
    """By what share the loss is lower, what share counts, and the loss it is of."""
    if not math.isnan(spread + parent.validation + other.validation):
        size = abs(parent.validation)
        return (parent.validation - other.validation) / size, max(LEVEL, SPREADS * spread / size), "validation"
    count = min(len(parent.losses), len(other.losses))
    later = slice(count // 2, count)
    lower = parent.losses[later].astype(float) - other.losses[later]
    size = abs(float(parent.losses[later].mean(dtype=float)))
    parts = np.array([part.mean() for part in np.array_split(lower, min(BLOCKS, max(1, len(lower))))])
    error = float(parts.std(ddof=1) / math.sqrt(len(parts))) if len(parts) > 1 else math.inf
    return float(lower.mean()) / size, max(LEVEL, SPREADS * error / size), "training"


def decided(tests: Sequence[CauseTest], made: Sequence[CauseTest]) -> list[CauseTest]:
    """The tests with what the forks of their causes say.

    A decisive measurement stays, with the fork beside it. Else a fork that is better supports the cause, and forks none
    of which is rule it out, for as many updates as they made; one that may be better, within the scatter, says nothing.
    """
    return [_decided(test, [one for one in made if one.cause == test.cause]) for test in tests]


def _decided(test: CauseTest, made: Sequence[CauseTest]) -> CauseTest:
    if not made:
        return test
    best = max(made, key=lambda one: one.value)
    measured = "" if math.isnan(test.threshold) else test.why  # else it says that nothing measures it
    why = "; ".join([text for text in (measured, *(one.why for one in made)) if text])
    if test.found == "supported" and test.evidence == "decisive":
        return replace(test, why=why)
    if best.found == "not measured" or best.found == test.found == "ruled out":
        return replace(test, why=why)
    return replace(best, why=why)
