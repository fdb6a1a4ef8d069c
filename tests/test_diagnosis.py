"""Verdicts on runs made to have them, and the thresholds between them."""

import math

import numpy as np
import pytest

from study.analysis.diagnosis import CONFIDENCE, EXPLODED, SPIKE, VANISHED, Evidence, Training, diagnose, spikes
from study.probes.flow import Flow
from study.probes.lyapunov import Lyapunov
from study.probes.saturation import Saturation, Share

CALM = Training(np.full(200, 0.5), np.full(200, 0.5), None, clip=False)


def falling(rate: float, lags: int = 60, spread: float = 0.0, samples: int = 32) -> Flow:
    """A flow of `rate` nats a step; norms of the samples differ by `spread` nats, standard deviation."""
    noise = np.random.default_rng(0).normal(0.0, spread, (lags + 1, samples))
    return Flow((rate * np.arange(lags + 1)[:, None] + noise)[:, None, None], ["h"], "h")


@pytest.mark.parametrize(("rate", "verdict"), [(-0.5, "vanishing"), (-0.01, "healthy"), (0.5, "exploding")])
def test_the_flow_at_the_horizon_decides_a_calm_run(rate: float, verdict: str) -> None:
    assert diagnose(CALM, Evidence(20, falling(rate))).verdict == verdict


@pytest.mark.parametrize("threshold", [VANISHED, EXPLODED])
def test_the_verdict_turns_at_the_threshold_and_is_undecided_around_it(threshold: float) -> None:
    rate, spread = math.log(threshold) / 20, 0.3
    error = falling(rate, spread=spread).joint.log_ratio_error(20)
    near, far = 0.5 * CONFIDENCE * error / 20, 3 * CONFIDENCE * error / 20
    assert diagnose(CALM, Evidence(20, falling(rate + near, spread=spread))).verdict == "undecided"
    assert {diagnose(CALM, Evidence(20, falling(rate + side * far, spread=spread))).verdict for side in (-1, 1)} == {
        "healthy",
        "vanishing" if threshold < 1 else "exploding",
    }


def test_the_same_flow_is_healthy_for_a_near_horizon_and_vanishing_for_a_far_one() -> None:
    flow = falling(-0.2)
    assert diagnose(CALM, Evidence(10, flow)).verdict == "healthy"
    assert diagnose(CALM, Evidence(40, flow)).verdict == "vanishing"


def test_the_sentence_tells_the_numbers_that_decided() -> None:
    sentence = diagnose(CALM, Evidence(20, falling(-math.log(2) / 2))).sentence
    assert "20 steps back, the horizon of the task, is 9.8e-04 of that at the loss" in sentence
    assert "effective horizon (1% left) is 13 steps" in sentence
    assert "halves every 2.0 steps" in sentence


def test_thin_evidence_is_undecided() -> None:
    assert diagnose(CALM, Evidence(20, None)).verdict == "undecided"
    assert diagnose(CALM, Evidence(20, falling(-0.5, samples=1))).verdict == "undecided"
    assert "too short" in diagnose(CALM, Evidence(20, falling(-0.5, lags=15))).sentence
    broken = falling(-0.5)
    broken.log_norms[3, 0, 0, 0] = math.nan
    assert "not finite at 1 of 61 lags, the first 3 steps back" in diagnose(CALM, Evidence(20, broken)).sentence


def test_a_gradient_of_exactly_zero_at_the_horizon_has_vanished() -> None:
    dead = falling(-0.1)
    dead.log_norms[5:] = -math.inf
    assert diagnose(CALM, Evidence(20, dead)).verdict == "vanishing"
    dead.log_norms[:] = -math.inf
    assert diagnose(CALM, Evidence(20, dead)).verdict == "undecided"


def test_a_run_that_left_the_finite_numbers_has_exploded_whatever_its_flow() -> None:
    norms = np.array([0.1, 0.2, 40.0, math.nan])
    diagnosis = diagnose(Training(norms, norms, 4, clip=False), Evidence(20, falling(-0.5)))
    assert (diagnosis.outcome, diagnosis.verdict) == ("diverged", "exploding")
    assert "diverged at update 4" in diagnosis.sentence
    assert "at update 3" in diagnosis.sentence
    at_once = diagnose(Training(norms[3:], norms[3:], 1, clip=False), Evidence(20, None))
    assert (at_once.outcome, at_once.verdict) == ("diverged", "exploding")


def test_a_run_that_diverged_under_a_calm_gradient_is_judged_by_its_flow_before() -> None:
    norms = np.full(30, 0.5)
    for flow, verdict in ((None, "undecided"), (falling(-0.5), "vanishing"), (falling(0.5), "exploding")):
        diagnosis = diagnose(Training(norms, norms, 30, clip=False), Evidence(20, flow))
        assert (diagnosis.outcome, diagnosis.verdict) == ("diverged", verdict)
        assert diagnosis.sentence.startswith("the run diverged at update 30; ")


def test_a_leap_of_the_norm_is_exploding_and_a_steady_fall_is_not() -> None:
    norms = np.full(200, 0.5)
    norms[120] = 1.1 * SPIKE * 0.5
    leapt = diagnose(Training(norms, norms, None, clip=False), Evidence(20, falling(-0.01)))
    assert (leapt.outcome, leapt.verdict) == ("completed", "exploding")
    assert "update 121" in leapt.sentence
    learning = np.geomspace(1000.0, 0.001, 500)
    assert diagnose(Training(learning, learning, None, clip=False), Evidence(20, falling(-0.01))).verdict == "healthy"


def test_the_level_of_a_norm_is_the_median_of_the_finite_ones_before() -> None:
    norms = np.array([1.0, 2.0, math.nan, 6.0, math.inf, 0.0])
    np.testing.assert_allclose(spikes(norms), [0.0, 2.0, 0.0, 4.0, 0.0, 0.0])
    assert spikes(np.array([])).shape == (0,)


@pytest.mark.parametrize(("share", "clipping"), [(0, "inactive"), (0.05, "guard"), (0.3, "frequent"), (0.9, "limiter")])
def test_clipping_is_judged_by_how_often_it_acts(share: float, clipping: str) -> None:
    norms = np.full(200, 2.0)
    applied = np.where(np.arange(200) < share * 200, 1.0, 2.0)
    assert diagnose(Training(norms, applied, None, clip=True), Evidence(20, None)).clipping == clipping
    assert diagnose(Training(norms, norms, None, clip=False), Evidence(20, None)).clipping == "none"


def test_a_history_without_a_single_update_is_judged_too() -> None:
    empty = np.array([], np.float32)
    diagnosis = diagnose(Training(empty, empty, None, clip=True), Evidence(20, None))
    assert (diagnosis.verdict, diagnosis.clipping) == ("undecided", "inactive")


# The published thresholds, as numbers: a case on either side of each, so that none moves unnoticed.


def left(share: float, spread: float = 0.0) -> Flow:
    """A flow with this share of the gradient left 20 steps back; norms of the samples differ by `spread` nats."""
    noise = falling(0.0, spread=spread).memory.log_ratio(20)
    return falling((math.log(share) - noise) / 20, spread=spread)


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.0099, "vanishing"), (0.0101, "healthy"), (99.0, "healthy"), (101.0, "exploding")]
)
def test_below_1_percent_a_gradient_has_vanished_above_100_times_it_has_exploded(share: float, verdict: str) -> None:
    assert diagnose(CALM, Evidence(20, left(share))).verdict == verdict


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("threshold", [0.01, 100.0])
def test_within_two_standard_errors_of_a_threshold_a_flow_is_undecided(threshold: float, side: int) -> None:
    error = falling(0.0, spread=0.3).memory.log_ratio_error(20)
    near, far = (left(threshold * math.exp(side * distance * error), spread=0.3) for distance in (1.98, 2.02))
    assert diagnose(CALM, Evidence(20, near)).verdict == "undecided"
    assert diagnose(CALM, Evidence(20, far)).verdict != "undecided"


@pytest.mark.parametrize(("multiple", "verdict"), [(100.0, "healthy"), (101.0, "exploding")])
def test_a_norm_above_100_times_its_level_has_exploded(multiple: float, verdict: str) -> None:
    norms = np.full(200, 0.5)
    norms[120] = multiple * 0.5
    assert diagnose(Training(norms, norms, None, clip=False), Evidence(20, falling(-0.01))).verdict == verdict


def test_the_level_of_a_norm_is_of_the_50_updates_before() -> None:
    norms = np.repeat([1.0, 3.0, 100.0], [40, 25, 1])  # the median of 50 is 2, of 49 it is 3, of 51 it is 1
    assert spikes(norms)[-1] == 50.0


def parting(rate: float, error: float = 0.0) -> Lyapunov:
    """The largest exponent of two sequences, in nats a step, with its standard error."""
    return Lyapunov(np.array([[rate - error], [rate + error]]), 40, bounded=True)


@pytest.mark.parametrize(("factor", "verdict"), [(1.98, "healthy"), (2.02, "chaotic")])
def test_states_that_part_more_than_twofold_over_the_horizon_are_chaotic(factor: float, verdict: str) -> None:
    evidence = Evidence(20, falling(-0.01), parting(math.log(factor) / 20))
    assert diagnose(CALM, evidence).verdict == verdict


@pytest.mark.parametrize(("errors", "verdict"), [(1.98, "healthy"), (2.02, "chaotic")])
def test_chaos_too_is_two_standard_errors_beyond_its_threshold(errors: float, verdict: str) -> None:
    error = 0.01
    evidence = Evidence(20, falling(-0.01), parting(math.log(2) / 20 + errors * error, error))
    assert parting(0.0, error).errors[0] == pytest.approx(error)
    assert diagnose(CALM, evidence).verdict == verdict


@pytest.mark.parametrize(("share", "verdict"), [(0.5, "vanishing"), (0.505, "saturated")])
def test_more_than_half_of_the_units_saturated_are_the_cause_of_a_vanishing_gradient(
    share: float, verdict: str
) -> None:
    saturation = Saturation([Share(0, "h", "tanh", share, math.nan)])
    assert diagnose(CALM, Evidence(20, falling(-0.5), saturation=saturation)).verdict == verdict
    assert diagnose(CALM, Evidence(20, falling(-0.01), saturation=saturation)).verdict == "healthy"


@pytest.mark.parametrize(
    ("updates", "clipping"),
    [(0, "inactive"), (1, "guard"), (100, "guard"), (101, "frequent"), (500, "frequent"), (501, "limiter")],
)
def test_clipping_guards_in_a_tenth_of_1000_updates_and_sets_the_step_in_more_than_half(
    updates: int, clipping: str
) -> None:
    norms = np.full(1000, 2.0)
    applied = np.where(np.arange(1000) < updates, 1.0, 2.0)
    assert diagnose(Training(norms, applied, None, clip=True), Evidence(20, None)).clipping == clipping
