"""Which cause is named first, and what short forks add to the measurements."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from study.analysis.causes.case import case_of
from study.analysis.causes.forks import SPREADS, Contrast, Stretch, compared, contrasts, decided, scatter
from study.analysis.causes.tested import CauseTest, table
from study.analysis.causes.tests import try_all
from study.analysis.diagnosis.facts import Course, Facts, Probed, Setup
from study.schema import Config
from study.standing import LEVEL
from tests.test_causes import NAMES, named, tried
from tests.test_diagnosis_causes import FLAT, GUESS, HEALTHY


def test_decisive_measurements_come_before_forks_and_forks_before_signs() -> None:
    sign = CauseTest("budget", "", 0.5, 1.0, "supported", "", "sign")
    small, large = (
        CauseTest(name, "", gain, 0.02, "supported", "", "fork") for name, gain in (("reach", 0.1), ("step size", 0.2))
    )
    sure = CauseTest("gradient", "", 0.0, 1.0, "supported", "")
    assert named([sign]) == "budget"
    assert named([sign, small, large]) == "step size"
    assert named([sign, small, large, sure]) == "gradient"
    assert named([replace(sure, found="ruled out"), replace(sign, found="not measured")]) == "none"


def stretch(level: float, validation: float, noise: float = 0.0, updates: int = 100) -> Stretch:
    drawn = np.random.default_rng(0).normal(0.0, 1.0, updates)
    return Stretch(level + noise * drawn, validation)


LOWER = Contrast("step size", ("optimizer.lr=0.1",), "a tenth of the rate")


@pytest.mark.parametrize(
    ("spread", "share", "found"),
    [(0.0, 0.9, "ruled out"), (0.0, 1.1, "supported"), (0.05, 0.9, "not measured"), (0.05, 1.1, "supported")],
)
def test_a_fork_is_better_only_beyond_the_scatter_of_its_parent_and_what_a_seed_changes(
    spread: float, share: float, found: str
) -> None:
    level = max(LEVEL, SPREADS * spread)
    test = compared(LOWER, stretch(1.0, 1.0), stretch(1.0, 1.0 - share * level), spread)
    assert (test.found, test.evidence) == (found, "fork")
    assert (test.value, test.threshold) == (pytest.approx(share * level), pytest.approx(level))


def test_without_validations_the_training_losses_of_the_same_batches_are_compared() -> None:
    noisy = stretch(1.0, 1.0, noise=0.3)
    lower = noisy._replace(losses=noisy.losses - 0.05)
    test = compared(LOWER, noisy, lower, math.nan)
    assert (test.found, test.value) == ("supported", pytest.approx(0.05, rel=0.1))  # the noise is that of both
    assert compared(LOWER, noisy, noisy, math.nan).found == "ruled out"


def test_a_fork_of_a_destroyed_run_is_better_if_it_lives() -> None:
    lost = stretch(1.0, math.nan)._replace(lost=True)
    assert compared(LOWER, lost, stretch(1.0, 1.0), math.nan).found == "supported"
    assert compared(LOWER, lost, lost, math.nan).found == "ruled out"


def test_a_wider_network_is_a_sign_at_most_for_it_is_another_run() -> None:
    wider = Contrast("capacity", ("model.hidden_size=8",), "twice the size", anew=True)
    test = compared(wider, stretch(1.0, 1.0), stretch(1.0, 0.5), 0.0)
    assert (test.found, test.evidence) == ("supported", "sign")
    assert "a new run" in test.why


def test_the_scatter_of_validations_leaves_their_trend_out() -> None:
    assert scatter([4.0, 3.0, 2.0, 1.0]) == 0.0
    assert math.isnan(scatter([3.0, 2.0, 1.0]))
    noisy = [float(x) for x in np.random.default_rng(0).normal(0.0, 0.3, 4000) - 0.01 * np.arange(4000)]
    found = [scatter(noisy[i : i + 6]) for i in range(0, 3990, 6)]
    assert np.sqrt(np.mean(np.square(found))) == pytest.approx(0.3, rel=0.1)


def test_forks_decide_what_no_measurement_does_and_do_not_overrule_one_that_does() -> None:
    better, worse = (compared(LOWER, stretch(1.0, 1.0), stretch(1.0, value), 0.0) for value in (0.5, 1.5))
    sure, sign = (
        CauseTest("step size", "x", 0.0, 1.0, "supported", "measured", evidence) for evidence in ("decisive", "sign")
    )
    open_ = replace(sign, found="not measured")
    assert [test.found for test in decided([sure, sign, open_], [worse])] == ["supported", "ruled out", "ruled out"]
    assert [test.evidence for test in decided([sure, sign, open_], [worse, better])] == ["decisive", "fork", "fork"]
    unclear = replace(better, found="not measured")
    assert [test.found for test in decided([sure, sign, open_], [unclear])] == [
        "supported",
        "supported",
        "not measured",
    ]
    kept = decided([sure], [worse])[0]
    assert kept.why.startswith("measured; with optimizer.lr=0.1")
    assert decided([open_], []) == [open_]


def test_forks_are_made_of_what_is_in_question_with_the_updates_as_they_were(configure: Callable[..., Config]) -> None:
    config = configure("task=labelling_parity", "task.seq_len=12", "bptt.k2=4", "model.hidden_size=4")
    facts = Facts(Setup.of(config, False, 4), Course(FLAT, FLAT, FLAT), (), GUESS)
    asked = contrasts(try_all(case_of(facts)), facts, config, longest=12, lost=False)
    third = f"optimizer.lr={config.optimizer.lr / 3:.2g}"
    assert [one.overrides for one in asked] == [
        ("bptt.k1=4", f"bptt.k2={config.task.horizon + 1}"),
        (third,),
        (f"optimizer.lr={config.optimizer.lr * 3:.2g}",),  # what the curvature allows was not measured
        ("model.hidden_size=8",),
    ]
    assert [one.anew for one in asked] == [False, False, False, True]
    lost = replace(facts, course=replace(facts.course, diverged=200))
    assert [one.cause for one in contrasts(try_all(case_of(lost)), lost, config, 12, lost=True)] == ["step size"]


def test_the_table_has_numbers_and_no_sentences() -> None:
    found = table(tried(Probed(200, HEALTHY))).to_pandas()
    assert list(found) == ["cause", "found", "evidence", "number", "threshold", "to_test"]
    assert list(found["cause"]) == NAMES
