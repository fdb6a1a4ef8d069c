"""A report says what the runs say and no more: statistics against slow twins, arms, answers, missing things."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from study.errors import ConfigError
from study.figures.style import INK, panels, tag_run
from study.report.data.comparison import KNOWN, Comparison
from study.report.data.differences import Differences
from study.report.data.ranking import answer, compare, naive_gaps
from study.report.data.runs import gather
from study.report.data.statistics import Interval, expected_best, improvement, mean_interval, share_interval
from study.report.data.wording import format_power
from study.report.figures.picture import for_page, to_svg
from study.schema import Config
from study.tracking import sweeps, writer
from study.tracking.description import describe
from study.tracking.place import Place
from study.tracking.reader import find
from tests.arms import compared


def gap(comparison: Comparison, arm: str, other: str) -> Interval:
    """How much worse an arm is than another."""
    return compare(comparison).between(comparison.arms.index(arm), comparison.arms.index(other))


def coverage(simulated: np.ndarray, mean: float) -> float:
    """How often the interval of a simulated sweep, one a row, holds the mean it was drawn with."""
    return float(np.mean([not mean_interval(values).excludes(mean) for values in simulated]))


@pytest.mark.parametrize("seeds", [3, 5, 10, 30])
def test_the_interval_covers_the_mean_in_95_of_100_simulated_sweeps(seeds: int) -> None:
    draws = np.random.default_rng(seeds).normal(1.0, 2.0, (2000, seeds))
    assert coverage(draws, 1.0) == pytest.approx(0.95, abs=0.015)


def test_what_skew_tails_and_failing_seeds_cost_the_interval_is_what_it_says() -> None:
    draw, sweeps = np.random.default_rng(0), (2000, 5)
    clusters = draw.choice([0.5, 1.0], sweeps, p=[0.3, 0.7]) + draw.normal(0, 0.01, sweeps)
    assert coverage(draw.lognormal(0, 0.5, sweeps), math.exp(0.125)) == pytest.approx(0.92, abs=0.02)
    assert coverage(draw.standard_t(3, sweeps), 0.0) == pytest.approx(0.96, abs=0.02)
    assert coverage(clusters, 0.85) == pytest.approx(0.83, abs=0.03)


def test_the_paired_difference_covers_the_true_one_in_95_of_100_simulated_sweeps() -> None:
    draw, held = np.random.default_rng(1), []
    for _ in range(400):
        seed = draw.normal(0, 5, 5)  # what arms share
        comparison = compared({"a": list(seed + draw.normal(0, 1, 5)), "b": list(seed + draw.normal(3, 1, 5))})
        held.append(not gap(comparison, "b", "a").excludes(3.0))
    assert np.mean(held) == pytest.approx(0.95, abs=0.035)


def test_of_arms_that_are_alike_hardly_ever_is_one_said_to_be_worse_than_the_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Differences, "seeds_needed", lambda *_: math.inf)  # takes seconds, and is said beside it
    draw, wrong = np.random.default_rng(2), 0
    for _ in range(12):
        alike = compared({str(arm): list(draw.normal(0, 1, 5)) for arm in range(8)})
        wrong += any("worse" in found.sentence for found in answer(alike, {}))
    assert wrong <= 2  # one by one, nearly half of all sweeps would


def test_wilson_s_interval_covers_95_of_100_shares_on_average() -> None:
    intervals = [share_interval(hits, 5) for hits in range(6)]
    shares = np.linspace(0.05, 0.95, 91)
    weights = stats.binom.pmf(np.arange(6)[:, None], 5, shares)
    held = np.array([[not interval.excludes(float(share)) for share in shares] for interval in intervals])
    assert (weights * held).sum(0).mean() == pytest.approx(0.95, abs=0.01)


def test_an_interval_holds_nothing_that_cannot_be() -> None:
    assert mean_interval([0.9, 1.0]).within(0.0, 1.0).high == 1.0
    assert math.isnan(mean_interval([0.9]).within(0.0, 1.0).high)


def test_the_interval_of_few_seeds_is_student_s_by_its_formula() -> None:
    sample = np.array([1.0, 2.0, 4.0])
    half = 4.302652729911275 * sample.std(ddof=1) / math.sqrt(3)
    assert mean_interval(sample) == pytest.approx((7 / 3, 7 / 3 - half, 7 / 3 + half, 3))


def test_one_seed_has_no_interval_and_excludes_nothing() -> None:
    interval = mean_interval([3.0])
    assert (interval.mean, interval.seeds) == (3.0, 1)
    assert math.isnan(interval.low)
    assert not interval.excludes(100.0)


def test_the_interval_of_a_share_is_wilson_s_by_its_formula() -> None:
    hits, trials, z = 4, 5, 1.959963984540054
    centre, spread = hits / trials + z**2 / (2 * trials), z * math.sqrt(0.8 * 0.2 / trials + z**2 / (4 * trials**2))
    low, high = (centre - spread) / (1 + z**2 / trials), (centre + spread) / (1 + z**2 / trials)
    assert share_interval(hits, trials)[1:3] == pytest.approx((low, high))
    assert share_interval(0, 5).high > 0.4


@pytest.mark.parametrize("maximize", [True, False])
def test_the_probability_of_improvement_counts_all_pairs_with_ties_half_and_diverged_runs_last(maximize: bool) -> None:
    better, worse = [1.0, 2.0, math.nan, 2.0], [2.0, 0.5, math.nan]
    lost = -math.inf if maximize else math.inf
    pairs = itertools.product(*([lost if math.isnan(v) else v for v in values] for values in (better, worse)))
    sign = 1 if maximize else -1
    counted = np.mean([1.0 if sign * a > sign * b else 0.5 if a == b else 0.0 for a, b in pairs])
    assert improvement(better, worse, maximize) == pytest.approx(counted)


@pytest.mark.parametrize("maximize", [True, False])
def test_the_expected_best_is_the_mean_over_all_draws_with_replacement(maximize: bool) -> None:
    values = [0.3, 0.9, 0.1, 0.5]
    choose = max if maximize else min
    slow = [np.mean([choose(draw) for draw in itertools.product(values, repeat=n)]) for n in range(1, 5)]
    assert expected_best(values, maximize) == pytest.approx(slow)


def test_the_expected_best_leaves_out_draws_in_which_every_trial_diverged() -> None:
    values = [0.3, math.nan, 0.1]
    draws = [[v for v in draw if not math.isnan(v)] for draw in itertools.product(values, repeat=2)]
    assert expected_best(values, maximize=False)[1] == pytest.approx(np.mean([min(draw) for draw in draws if draw]))


def test_an_arm_with_diverged_runs_never_ranks_before_one_without() -> None:
    assert compared({"lucky": [0.1, math.nan], "sure": [0.5, 0.6]}).arms == ["sure", "lucky"]


@pytest.mark.parametrize("maximize", [True, False])
def test_a_gap_above_zero_is_worse_whichever_way_the_measure_points(maximize: bool) -> None:
    comparison = compared({"a": [1.0, 1.1, 1.2], "b": [2.0, 2.2, 2.1]}, maximize)
    assert gap(comparison, *reversed(comparison.arms)).mean == pytest.approx(1.0)


def test_seeds_pair_runs_so_that_what_they_share_cancels() -> None:
    comparison = compared({"a": [1.0, 5.0, 9.0], "b": [1.5, 5.5, 9.5]})
    assert gap(comparison, "b", "a")[:3] == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize("maximize", [True, False])
def test_differences_are_paired_by_seed_in_whatever_order_the_runs_ended(maximize: bool) -> None:
    draw = np.random.default_rng(4)
    seeds = draw.normal(0.0, 50.0, 5)
    ordered = compared({arm: list(seeds + draw.normal(shift, 0.1, 5)) for shift, arm in enumerate("abc")}, maximize)
    shuffled = pd.concat([ordered.arm(arm).sample(frac=1, random_state=n) for n, arm in enumerate(ordered.arms)])
    assert shuffled["seed"].tolist() != ordered.runs["seed"].tolist()
    mixed = Comparison("task", "family", "rmse", maximize, shuffled, ordered.arms)
    for arm, other in itertools.permutations(ordered.arms, 2):
        assert gap(mixed, arm, other) == pytest.approx(gap(ordered, arm, other))
    assert gap(mixed, *reversed(ordered.arms[:2])).mean == pytest.approx(1.0, abs=0.2)
    assert gap(mixed, *reversed(ordered.arms[:2])).excludes(0.0)  # by row, the seeds' scatter of 50 would hide it


def test_seeds_that_one_arm_lacks_are_left_out_of_its_difference_alone() -> None:
    comparison = compared({"a": [1.0, 5.0, 9.0, 2.0], "b": [2.0, math.nan, 10.1, 3.05], "c": [4.0, 8.1, 12.0, 5.0]})
    assert gap(comparison, "b", "a").mean == pytest.approx((1.0 + 1.1 + 1.05) / 3)
    assert (gap(comparison, "b", "a").seeds, gap(comparison, "c", "a").seeds) == (3, 4)


def test_in_5_of_100_studies_some_arm_that_is_as_good_as_the_naive_guess_is_said_to_differ() -> None:
    draw, wrong = np.random.default_rng(5), 0
    for _ in range(150):
        comparison = compared({str(arm): list(draw.normal(1.0, 0.1, 4)) for arm in range(6)}, baseline=1.0)
        wrong += any(gap.excludes(0.0) for gap in naive_gaps(comparison).values())
    assert wrong / 150 == pytest.approx(0.05, abs=0.04)


def test_a_guess_that_varies_with_the_seed_is_compared_seed_by_seed() -> None:
    comparison = compared({"a": [1.0, 5.0, 9.0]})
    comparison.runs["baseline"] = [1.5, 5.6, 9.4]
    assert naive_gaps(comparison)["a"].mean == pytest.approx(-0.5)
    assert naive_gaps(comparison)["a"].excludes(0.0)


def test_a_study_says_the_smallest_difference_it_could_show_with_the_scatter_behind_it() -> None:
    study = compare(compared({"a": [1.0, 2.0, 3.0], "b": [1.1, 2.1, 3.2], "c": [9.0, 10.0, 11.1]}))
    told = format_power(study)
    assert f"shown from {study.critical(3):.2g} on" in told
    assert f"a true difference of {study.detectable(3):.2g} is the smallest that 80% of such studies show" in told
    assert f"scatters by {study.fit.scatter:.2g}" in told
    assert "4 degrees of freedom" in told
    loud = {str(arm): list(np.random.default_rng(arm).normal(0, 30 if arm == 5 else 1, 5)) for arm in range(6)}
    assert "do not scatter alike" in format_power(compare(compared(loud)))
    assert not format_power(compare(compared({"a": [1.0], "b": [2.0]})))


def test_seeds_needed_are_told_where_a_difference_is_not_shown_only() -> None:
    found = answer(compared({"a": [1.0, 2.0, 3.0], "b": [1.5, 2.3, 3.1], "c": [9.0, 10.0, 11.1]}), {})
    needed = {answered.arm: answered.seeds_needed for answered in found}
    assert needed["b"] > 3
    assert math.isnan(needed["a"])
    assert math.isnan(needed["c"])


def test_half_life_is_that_of_the_decay() -> None:
    assert answer(compared({"a": [1.0, 1.1]}), {})[0].half_life == pytest.approx(4.0)


def test_a_task_s_own_measure_comes_before_the_loss() -> None:
    assert list(KNOWN)[-1] == "loss"


def test_a_picture_on_a_page_takes_the_page_s_ink_and_its_marks_know_their_run() -> None:
    with panels(1) as (figure, (axes,)):
        tag_run("abc", axes.plot([1, 2], [1, 2]))
        tag_run("abc", axes.plot([2, 3], [1, 2]))
    svg = to_svg(figure)
    assert svg.count('id="run:abc:1"') == svg.count('id="run:abc:2"') == 1
    page = for_page(svg, "a picture")
    assert page.count('data-run="abc"') == 2
    assert "currentColor" in page
    assert INK not in page


def test_a_study_that_was_never_tracked_is_refused_with_its_name(tmp_path: Path) -> None:
    missing = f"sqlite:///{tmp_path}/none.db"
    with pytest.raises(ConfigError, match="no such store"):
        gather(missing, "nothing")


def test_a_sweep_that_has_no_run_yet_says_what_makes_its_runs(store: str) -> None:
    parent = sweeps.open_parent(store, "unmade", "plan")
    for read, wanted in ((gather, "unmade"), (find, "unmade"), (find, parent)):
        with pytest.raises(ConfigError, match="has no runs; the command that started it, typed again, makes them"):
            read(store, wanted)


def track(config: Config, metrics: dict[str, float], **tags: str) -> None:
    """A completed run with these metrics."""
    with writer.run(describe(config), Place(tags={"outcome": "completed", "phase": "grid", **tags})) as run:
        run.log_points([(1, metrics)])


def test_runs_are_ranked_by_what_they_recorded_and_older_ones_by_a_known_measure(
    configure: Callable[..., Config], store: str
) -> None:
    for model, found in (("elman", 0.4), ("gru", 0.9)):
        new, old = ({"score/test": found, "rmse/test": found}, {"rmse/test": found, "loss/test": 1.0})
        track(configure("slug=ranked", f"model={model}"), new, primary="score", direction="maximize")
        track(configure("slug=ranked-before", f"model={model}"), old)
    (now,), (before,) = gather(store, "ranked").comparisons, gather(store, "ranked-before").comparisons
    assert (now.measure, now.arms, now.arm("gru")["value"].item()) == ("score", ["gru", "elman"], 0.9)
    assert (before.measure, before.arms) == ("rmse", ["elman", "gru"])
    assert now.interval(pd.Series([-3.0, -1.0])).low < -3  # of a new measure no range is known


def test_runs_that_train_the_same_bits_are_one_arm_whatever_was_measured_or_spelled(
    configure: Callable[..., Config], store: str
) -> None:
    same = ("probe=none", "probe=full", "trainer.checkpoint=null", "task.horizon=9", "trainer.validate_every=9")
    for seed, override in enumerate(same):
        track(configure("slug=same", f"seed={seed}", override), {"rmse/test": 0.5})
    track(configure("slug=same", f"seed={len(same)}", "bptt.k1=10", "bptt.k2=10"), {"rmse/test": 0.5})
    track(configure("slug=same", f"seed={len(same)}", "bptt.k2=10"), {"rmse/test": 0.5})
    (comparison,) = gather(store, "same").comparisons
    assert comparison.runs["arm"].value_counts().to_dict() == {"full BPTT": len(same), "k2=10": 1}
