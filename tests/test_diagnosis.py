"""Outcomes and verdicts of runs made to have them, and the thresholds between them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from study.analysis.diagnosis.events import spikes
from study.analysis.diagnosis.facts import Course, Facts, Probed, Setup, Standing
from study.analysis.diagnosis.judge import Diagnosis, diagnose
from study.analysis.diagnosis.outcome import longest_way
from study.analysis.diagnosis.over_lag import Verdict, over_lag
from study.analysis.diagnosis.thresholds import CONFIDENCE
from study.probes.flow import Flow
from study.probes.geometry import Geometry
from study.probes.lyapunov import Lyapunov

KNOWN, GUESSED = Setup(20, horizon_known=True), Setup(20, horizon_known=False)


def course(losses: object = 1.0, norms: object = 0.5, updates: int = 200, diverged: int | None = None) -> Course:
    """Constant losses and norms, or those given; clipping never acts."""
    of_loss, of_norm = (np.broadcast_to(np.asarray(x, float), updates) for x in (losses, norms))
    return Course(of_loss, of_norm, of_norm, diverged)


def falling(rate: float, lags: int = 60, spread: float = 0.0, samples: int = 32) -> Flow:
    """A flow of `rate` nats a step; norms of the samples differ by `spread` nats, standard deviation."""
    noise = np.random.default_rng(0).normal(0.0, spread, (lags + 1, samples))
    return Flow((rate * np.arange(lags + 1)[:, None] + noise)[:, None, None], ["h"], "h")


def left(share: float, spread: float = 0.0) -> Flow:
    """A flow with this share of the gradient left 20 steps back; norms of the samples differ by `spread` nats."""
    noise = falling(0.0, spread=spread).memory.log_ratio(20)
    return falling((math.log(share) - noise) / 20, spread=spread)


def standing(value: float, solved: bool | None = None, opponent: float = 0.5, baseline: float = 1.0) -> Standing:
    """An RMSE beside that of the guess and of the best opponent."""
    return Standing("rmse", value, baseline, (opponent, "HAR"), "minimize", solved)


def judged(
    losses: object = 1.0, reached: Standing | None = None, flow: Flow | None = None, setup: Setup = KNOWN
) -> Diagnosis:
    return diagnose(Facts(setup, course(losses), [Probed(200, flow)], reached or standing(0.8)))


def verdict(flow: Flow | None, setup: Setup = KNOWN, lyapunov: Lyapunov | None = None) -> Verdict:
    return over_lag(setup, Probed(0, flow, lyapunov)).verdict


@pytest.mark.parametrize(("share", "expected"), [(0.0099, "vanishing"), (0.0101, "healthy")])
def test_a_gradient_vanishes_below_1_percent_at_the_horizon(share: float, expected: str) -> None:
    assert verdict(left(share)) == expected


@pytest.mark.parametrize(("share", "expected"), [(99.0, "healthy"), (101.0, "exploding")])
def test_a_gradient_explodes_above_100_times_that_at_the_loss(share: float, expected: str) -> None:
    grown = falling(math.log(share) / 20, lags=20)
    assert verdict(grown) == expected


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("threshold", [0.01, 100.0])
def test_within_two_standard_errors_of_a_threshold_a_flow_is_undecided(threshold: float, side: int) -> None:
    def at(distance: float) -> Flow:
        found = left(threshold * math.exp(side * distance * error), spread=0.3)
        return Flow(found.log_norms[:21], ["h"], "h")

    error = falling(0.0, spread=0.3).memory.log_ratio_error(20)
    assert verdict(at(1.98)) == "undecided"
    assert verdict(at(2.02)) != "undecided"


def test_a_gradient_that_grows_beyond_what_truncated_windows_reach_has_exploded_nothing() -> None:
    growing = falling(0.5)
    assert verdict(growing, replace(KNOWN, reach=20)) == "exploding"
    for reach in (0, 5):  # e^{.5 x 5} = 12
        found = over_lag(replace(KNOWN, reach=reach), Probed(0, growing))
        assert found.verdict == "undecided"
        assert f"reaches back {reach} steps only" in found.sentence


def test_growth_beyond_the_horizon_but_within_reach_is_exploding_too() -> None:
    late = falling(0.0)
    late.log_norms[40:] += math.log(1000)
    assert verdict(late) == "exploding"
    assert verdict(late, replace(KNOWN, reach=30)) == "healthy"


def test_where_the_horizon_is_a_guess_the_memory_is_short_and_the_gradient_has_not_vanished() -> None:
    short = falling(-math.log(100) / 12.5)
    assert verdict(short) == "vanishing"
    found = over_lag(GUESSED, Probed(0, short))
    assert found.verdict == "short memory"
    assert "12 of 20 steps" in found.sentence


def test_a_guess_further_back_than_the_sequences_are_long_is_judged_where_they_end() -> None:
    assert verdict(falling(-0.1, lags=15), GUESSED) == "healthy"
    assert verdict(falling(-0.1, lags=15)) == "undecided"
    assert "too short" in over_lag(KNOWN, Probed(0, falling(-0.1, lags=15))).sentence


def test_a_memory_that_loses_nothing_from_lag_to_lag_is_kept_though_it_is_read_weakly() -> None:
    kept = falling(-0.001, spread=0.01)
    kept.log_norms[0] += math.log(1000)
    assert verdict(kept) == "kept"
    slowly = falling(-0.99 * math.log(2) / 20)
    slowly.log_norms[0] += math.log(1000)
    assert verdict(slowly) == "kept"
    lost = falling(-1.01 * math.log(2) / 20)
    lost.log_norms[0] += math.log(1000)
    assert verdict(lost) == "vanishing"


def test_a_solved_task_is_latched_not_vanished() -> None:
    solved = judged(flow=falling(-2.0), reached=standing(0.1, solved=True))
    assert (solved.outcome, solved.verdict, solved.cause.name) == ("solved", "latched", "none")
    assert judged(flow=falling(-2.0), reached=standing(0.8, solved=False)).verdict == "vanishing"


def parting(rate: float, error: float = 0.0) -> Lyapunov:
    """The largest exponent of two sequences, in nats a step, with its standard error."""
    return Lyapunov(np.array([[rate - error], [rate + error]]), 40, bounded=True)


@pytest.mark.parametrize(("factor", "expected"), [(1.98, "healthy"), (2.02, "chaotic")])
def test_states_that_part_more_than_twofold_over_the_horizon_are_chaotic(factor: float, expected: str) -> None:
    assert verdict(falling(-0.01), lyapunov=parting(math.log(factor) / 20)) == expected


@pytest.mark.parametrize(("errors", "expected"), [(1.98, "healthy"), (2.02, "chaotic")])
def test_chaos_too_is_two_standard_errors_beyond_its_threshold(errors: float, expected: str) -> None:
    assert CONFIDENCE == 2.0
    found = parting(math.log(2) / 20 + errors * 0.01, 0.01)
    assert verdict(falling(-0.01), lyapunov=found) == expected


def test_thin_evidence_is_undecided() -> None:
    assert verdict(None) == "undecided"
    assert verdict(falling(-0.5, samples=1)) == "undecided"
    broken = falling(-0.5)
    broken.log_norms[3, 0, 0, 0] = math.nan
    assert "not finite at 1 of 61 lags, the first 3 steps back" in over_lag(KNOWN, Probed(0, broken)).sentence


def test_a_gradient_of_exactly_zero_at_the_horizon_has_vanished() -> None:
    dead = falling(-0.1)
    dead.log_norms[5:] = -math.inf
    assert verdict(dead) == "vanishing"
    dead = falling(-0.1)
    dead.log_norms[:] = -math.inf
    assert verdict(dead) == "undecided"


def test_the_sentence_has_the_numbers_that_decided_and_those_before_training() -> None:
    end, start = falling(-math.log(2) / 2), falling(-math.log(2) / 10)
    sentence = diagnose(Facts(KNOWN, course(), [Probed(0, start), Probed(200, end)], standing(0.8))).sentence
    assert "20 steps back, the horizon of the task, is 9.8e-04 of that at the loss" in sentence
    assert "effective horizon (1% left) is 13 steps" in sentence
    assert "halves every 2.0 steps" in sentence
    assert "before training it was 2.5e-01" in sentence


# Outcomes.


@pytest.mark.parametrize(
    ("value", "expected"), [(0.489, "ahead"), (0.491, "completed"), (0.989, "completed"), (0.991, "learned nothing")]
)
def test_a_run_is_measured_against_its_opponent_and_the_guess_without_memory(value: float, expected: str) -> None:
    assert judged(reached=standing(value)).outcome == expected


def test_a_task_with_a_criterion_is_solved_or_not_and_its_guess_is_no_opponent_to_be_ahead_of() -> None:
    assert judged(reached=standing(0.1, solved=True)).outcome == "solved"
    found = judged(reached=standing(0.4, solved=False))
    assert found.outcome == "completed"
    assert "the task is not solved" in found.sentence


def leap(ratio: float, until: int = 200) -> np.ndarray:
    """Losses of 1 that leap at update 3."""
    losses = np.ones(200)
    losses[2:until] = ratio
    return losses


@pytest.mark.parametrize(("ratio", "expected"), [(3.99, "learned nothing"), (4.01, "ruined")])
def test_a_loss_that_leapt_4_fold_ruined_a_run_that_ends_no_better_than_a_guess(ratio: float, expected: str) -> None:
    found = judged(leap(ratio, until=4), standing(1.5))
    assert found.outcome == expected
    assert judged(leap(ratio, until=4), standing(0.8)).outcome == "completed"


@pytest.mark.parametrize(("ratio", "expected"), [(1.99, "learned nothing"), (2.01, "ruined")])
def test_a_run_that_ends_at_twice_its_best_level_has_ruined_what_it_learnt(ratio: float, expected: str) -> None:
    losses = np.repeat([1.0, ratio], 100)
    assert judged(losses, standing(1.5)).outcome == expected


@pytest.mark.parametrize(("at", "after", "expected"), [
    (100, 1.0, "learned nothing"), (100, 1.09, "learned nothing"), (100, 1.11, "ruined"),  # it comes back, or not
    (5, 1.0, "ruined"), (195, 1.0, "ruined"),  # the level before, or after, is of too few updates
])  # fmt: skip
def test_one_loss_that_leaps_and_is_back_at_once_ruins_nothing(at: int, after: float, expected: str) -> None:
    losses = np.ones(200)
    losses[at:] = after
    losses[at] = 7.0
    found = judged(losses, standing(1.5))
    assert found.outcome == expected
    back = f"the loss leapt 7-fold at update {at + 1} and was back at once"
    assert (back in found.sentence) == (expected == "learned nothing")


def test_losses_that_are_not_above_zero_have_no_ratio_to_leap_by() -> None:
    assert judged(np.linspace(-1.0, 5.0, 200), standing(1.5)).outcome == "learned nothing"


@pytest.mark.parametrize(("ratio", "expected"), [(1.4e-5, "learned nothing"), (1.6e-5, "completed")])
def test_a_network_whose_steps_add_up_to_0_3_percent_of_its_weights_is_as_it_was_drawn(
    ratio: float, expected: str
) -> None:
    still = Probed(200, geometry=Geometry(1.0, ratio, 1.0, math.nan, math.nan))
    found = diagnose(Facts(KNOWN, course(), [still], standing(0.8)))
    assert found.outcome == expected
    assert (found.cause.name == "step size") == (expected == "learned nothing")


@pytest.mark.parametrize("probed", [[0], [0, 200], [200]])
def test_a_schedule_that_ends_at_no_rate_is_no_sign_of_steps_that_add_up_to_nothing(probed: list[int]) -> None:
    """Half a cosine over 200 updates: the mean rate is half of the first; what a last step would be says nothing."""
    rates = 0.1 * (1 + np.cos(np.pi * np.arange(200) / 200)) / 2
    ratios = {0: 1e-3, 200: 0.0}
    measured = [Probed(at, geometry=Geometry(1.0, ratios[at], 1.0, math.nan, math.nan)) for at in probed]
    found = Facts(KNOWN, replace(course(), rates=rates), measured, standing(0.8))
    expected = 1e-3 * 100.5 if 0 in probed else math.nan
    assert longest_way(found) == pytest.approx(expected, nan_ok=True)
    assert diagnose(found).outcome == "completed"


def test_a_first_step_of_a_warm_up_is_short_by_its_rate_alone() -> None:
    rates = np.minimum(1.0, np.arange(1, 201) / 100)
    warming = Probed(0, geometry=Geometry(1.0, 1e-6, 1.0, math.nan, math.nan))
    way = longest_way(Facts(KNOWN, replace(course(), rates=rates), [warming], standing(0.8)))
    assert way == pytest.approx(1e-6 * rates.sum() / rates[0])


def test_of_a_run_that_was_ruined_or_diverged_no_verdict_but_exploding_is_concluded() -> None:
    for lost, reached in ((None, standing(1.5)), (120, standing(math.nan))):
        for flow, expected in ((falling(-0.5), "undecided"), (falling(0.5), "exploding"), (None, "undecided")):
            before, after = Probed(0, flow), Probed(200, falling(-3.0))
            found = diagnose(Facts(KNOWN, course(leap(9.0), diverged=lost), [before, after], reached))
            assert (found.outcome, found.verdict) == ("ruined" if lost is None else "diverged", expected)
            assert found.cause.name == ("gradient" if expected == "exploding" else "step size")


def test_a_destroyed_network_is_judged_before_the_step_that_destroyed_it() -> None:
    """The loss of update 3 shows what the step of update 2 did: a measurement after 2 updates comes too late."""
    probed = [Probed(0, falling(-0.01)), Probed(2, falling(0.5))]
    assert diagnose(Facts(KNOWN, course(leap(9.0)), probed, standing(1.5))).verdict == "undecided"


def test_a_run_that_still_trains_has_no_outcome_but_completed() -> None:
    found = diagnose(Facts(KNOWN, course(), [Probed(0, falling(-0.5))]))
    assert (found.outcome, found.verdict) == ("completed", "vanishing")


# Events.


def test_the_level_of_a_norm_is_the_median_of_the_50_finite_ones_before_and_takes_10() -> None:
    norms = np.repeat([1.0, 3.0, 100.0], [40, 25, 1])  # the median of 50 is 2, of 49 it is 3, of 51 it is 1
    assert spikes(norms)[-1] == 50.0
    assert spikes(np.repeat([1.0, 1000.0], [9, 1]))[-1] == 0.0
    assert spikes(np.repeat([1.0, math.nan, math.inf, 1000.0], [10, 1, 1, 1]))[-1] == 1000.0
    assert spikes(np.array([])).shape == (0,)


@pytest.mark.parametrize(("multiple", "leapt"), [(100.0, False), (101.0, True)])
def test_a_norm_above_100_times_its_level_has_leapt_and_says_nothing_of_the_lag(multiple: float, leapt: bool) -> None:
    norms = np.full(200, 0.5)
    norms[120] = multiple * 0.5
    found = diagnose(Facts(KNOWN, course(norms=norms), [Probed(200, falling(-0.01))], standing(0.8)))
    assert found.verdict == "healthy"
    assert ("the gradient norm leapt to 101 times its level" in found.sentence) == leapt


def test_the_events_of_a_ruin_are_told_in_their_order_with_their_numbers() -> None:
    norms = np.full(200, 0.5)
    norms[150] = 400.0
    found = diagnose(Facts(KNOWN, course(leap(14.0), norms), [Probed(0, falling(-0.01))], standing(1.5)))
    assert found.sentence.index("the loss rose 14-fold by update 3") < found.sentence.index("leapt to 800 times")


# Clipping.


@pytest.mark.parametrize(
    ("updates", "role"),
    [(0, "inactive"), (1, "guard"), (100, "guard"), (101, "frequent"), (500, "frequent"), (501, "limiter")],
)
def test_clipping_guards_in_a_tenth_of_1000_updates_and_sets_the_step_in_more_than_half(
    updates: int, role: str
) -> None:
    norms = np.full(1000, 2.0)
    applied = np.where(np.arange(1000) < updates, 1.0, 2.0)
    made = Course(np.ones(1000), norms, applied)
    assert diagnose(Facts(replace(KNOWN, clipped=True), made)).clipping == role
    assert diagnose(Facts(KNOWN, made)).clipping == "none"


@pytest.mark.parametrize(("share", "role"), [(0.0, "inactive"), (0.09, "guard"), (0.3, "frequent"), (0.6, "limiter")])
def test_a_policy_that_looks_at_parts_is_judged_by_the_share_of_them_that_it_clipped(share: float, role: str) -> None:
    norms = np.full(1000, 2.0)
    made = Course(norms, norms, norms, share=np.full(1000, share))  # no norm tells of it
    found = diagnose(Facts(replace(KNOWN, clipped=True), made))
    assert found.clipping == role
    assert (
        share == 0.0 or f"on {share:.1%} of what it looks at, and in 100.0% of the updates" in found.clipping_sentence
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_run_that_skipped_steps_is_judged_by_what_it_reached_and_its_clipping_was_a_guard(bad: float) -> None:
    losses, norms = np.linspace(2.0, 1.0, 1000), np.ones(1000)
    losses[[200, 500]] = norms[[200, 500]] = bad
    skipped = (~np.isfinite(norms)).astype(float)
    made = Course(losses, norms, np.where(skipped, 0.0, norms), share=skipped)
    found = diagnose(Facts(replace(KNOWN, clipped=True), made, [Probed(1000, left(0.5))], standing(0.6)))
    assert (found.outcome, found.verdict, found.clipping) == ("completed", "healthy", "guard")


def test_a_history_without_a_single_update_is_judged_too() -> None:
    empty = np.array([], np.float32)
    found = diagnose(Facts(replace(KNOWN, clipped=True), Course(empty, empty, empty), (), standing(1.5)))
    assert (found.outcome, found.verdict, found.clipping) == ("learned nothing", "undecided", "inactive")
