"""Reach: whether gradients are cut off before the lag at which the past is needed."""

import math
from dataclasses import replace

from study.analysis.causes.case import Case
from study.analysis.causes.tested import CauseTest
from study.analysis.diagnosis.cause import FIXED, climbs, cut_off
from study.probes.truncation import Truncation

CONVERGES = 1.0
"""Relative error of a truncated gradient below which training still converges (Aicher et al. 2019)."""
NO_LIMIT = "no lag is out of reach: gradients flow back all of a sequence, or are cut at random and reweighted"
INDEPENDENT = 0.1
"""A relative error of BPTT without any past (k2 = 1) below this: outputs do not depend on the past yet."""


def reach(case: Case) -> CauseTest:
    """The steps that gradients reach back, against those that the task needs."""
    setup = case.setup
    if not setup.horizon_known:
        return _bias(case)
    back = "without a fixed limit" if setup.reach is None else f"{setup.reach} steps"
    stated = f"gradients reach back {back}, and the task needs the past {setup.horizon} steps back"
    steps = math.inf if setup.reach is None else float(setup.reach)
    measured = CauseTest("reach", "steps that gradients reach back", steps, setup.horizon, "ruled out", stated)
    found = cut_off(case.facts, case.diagnosis.verdict, case.last)
    return measured if found is None else measured.by(found)


def uphill(case: Case) -> CauseTest:
    """Of a run that was destroyed: whether the truncated gradient pointed away from the whole one before."""
    setup, bias = case.setup, case.last.truncation
    tested = CauseTest("reach", "cosine of the truncated with the whole gradient", math.nan, 0.0, "not measured", "")
    if setup.reach is None:
        return replace(tested, found="ruled out", why=NO_LIMIT)
    if setup.reach_key != FIXED:
        return replace(tested, why="the length of its windows is not fixed")
    if bias is None or setup.reach + 1 not in bias.k2:
        return replace(tested, why=case.unmeasured("truncation"))
    cosine = float(bias.cosine[bias.k2.index(setup.reach + 1)])
    tested = replace(tested, value=cosine)
    if found := climbs(case.facts, case.last):
        return tested.by(found)
    if not cosine > 0:
        return replace(tested, why=f"the cosine was {cosine:.2g}, and not negative on every part of the batch")
    return replace(tested, found="ruled out", why=f"the cosine was {cosine:.2g}")


def _bias(case: Case) -> CauseTest:
    """Of a horizon that is a guess."""
    setup, bias = case.setup, case.last.truncation
    open_ = CauseTest(
        "reach", "relative error of the truncated gradient", math.nan, CONVERGES, "not measured", "", "sign"
    )
    if setup.reach is None:
        return replace(open_, found="ruled out", why=NO_LIMIT)
    open_ = replace(open_, change=f"{setup.reach_key}={2 * (setup.reach + 1)}", effect="twice the reach")
    if bias is None or setup.reach + 1 not in bias.k2:
        return replace(open_, why=case.unmeasured("truncation"))
    return _judged_bias(open_, bias, setup.reach + 1)


def _judged_bias(open_: CauseTest, bias: Truncation, k2: int) -> CauseTest:
    error, cosine = (float(values[bias.k2.index(k2)]) for values in (bias.error, bias.cosine))
    measured = replace(open_, value=error)
    if math.isnan(error) or error == 0:
        return replace(measured, why=f"no sequence that was measured is longer than k2 = {k2}")
    if (without := float(bias.error[0])) < INDEPENDENT:
        return replace(
            measured,
            why=f"the outputs hardly depend on the past yet (at k2 = {bias.k2[0]} the gradient is "
            f"off by {without:.2g} of its length), so that the bias at k2 = {k2}, {error:.2g}, says nothing",
        )
    faster = f"descends {1 / cosine:.2f} times as fast" if cosine > 0 else "descends where the truncated one climbs"
    stated = f"at k2 = {k2} the gradient is off by {error:.2g} of its length; a step of that length along the full one "
    stated += faster
    if error >= CONVERGES:
        return replace(measured, found="supported", why=stated)
    return replace(measured, why=f"{stated}. That rules nothing out: what a network never learnt of it does not miss")
