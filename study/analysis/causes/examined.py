"""All causes of a run tested: at its end by what it can pay for, or by all that can be measured."""

import math
from dataclasses import replace

from study.analysis.causes.case import Case, case_of
from study.analysis.causes.measures import allowance, completed
from study.analysis.causes.tested import CauseTest
from study.analysis.causes.tests import try_all
from study.analysis.diagnosis.facts import Facts, Probed
from study.analysis.diagnosis.judge import Diagnosis
from study.tracking.outcomes import LOST
from study.training.module import RecurrentModule

WELL = ("solved", "ahead")
"""Outcomes that leave nothing to ask for."""


def at_the_end(module: RecurrentModule, facts: Facts, diagnosis: Diagnosis) -> list[CauseTest]:
    """Test the causes of a run that has just ended; none of one that solved its task or is ahead of its opponents.

    Of a run that was destroyed nothing is measured after that.
    """
    if diagnosis.outcome in WELL:
        return []
    if diagnosis.outcome in LOST:
        return try_all(case_of(facts))
    return try_all(examined(module, facts, allowance(module)))


def examined(module: RecurrentModule, facts: Facts, budget: float = math.inf) -> Case:
    """A run with the measures that its tests need, taken of the module as it is after its last update.

    Args:
        module: see `completed`.
        facts: of the run.
        budget: in training steps.
    """
    updates = len(module.history)
    before = [probed for probed in facts.probed if probed.update < updates]
    last = facts.probed[-1] if len(before) < len(facts.probed) else Probed(updates)
    taken = completed(module, facts.setup, last, budget)
    measured = any(part is not None for part in taken.probed[1:])
    return case_of(replace(facts, probed=[*before, taken.probed] if measured else before), taken.missing)
