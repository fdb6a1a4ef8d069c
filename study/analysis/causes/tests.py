"""The tests of all causes, in their order, from the facts of a run.

    nothing to learn   no opponent is better than the guess without memory either
    reach              a known horizon: gradients end before it. A guessed one: how far the truncated gradient lies from
                       the full one; that is a sign only, for a network does not ask for a past that it never learnt of
    step size          a run that its own updates destroyed; steps that add up to nothing; steps longer than the
                       curvature allows, which is a sign: training drives itself there
    gradient           what is left of it at the horizon, its growth, chaos; saturated units are named with it
    expressivity       a state that no recurrence of this kind follows, though the gradient reaches back
    sensitivity        how far small steps of the weights move the states
    budget             a loss that still fell: a sign, as most runs show it
    overfitting        a training loss that the validation loss did not follow
    capacity           nothing of a finished run measures it: a new run at twice the width shows it

A cause is supported by the rules of the diagnosis (`study.analysis.diagnosis.cause`); a test adds the number where a
rule does not hold, and what was not measured. Of a run that was destroyed the measures before that count, and
only the gradient, a truncation that points uphill and step size are tested: the others destroy no run.
"""

from collections.abc import Callable

from study.analysis.causes.case import Case
from study.analysis.causes.course import budget, capacity, overfitting, something
from study.analysis.causes.lag import expressivity, gradient, sensitivity
from study.analysis.causes.reach import reach, uphill
from study.analysis.causes.steps import ruinous_steps, step_size
from study.analysis.causes.tested import CauseTest

ORDER: tuple[Callable[[Case], CauseTest], ...] = (
    something,
    reach,
    step_size,
    gradient,
    expressivity,
    sensitivity,
    budget,
    overfitting,
    capacity,
)
DESTROYING: tuple[Callable[[Case], CauseTest], ...] = (gradient, uphill, ruinous_steps)
"""Of a run that was destroyed."""


def try_all(case: Case) -> list[CauseTest]:
    """All tests, in their order; of a run that was destroyed those of what destroys one."""
    return [test(case) for test in (DESTROYING if case.lost else ORDER)]
