"""Differences between arms: Tukey's range against tables, a library and a slow twin; errors and power by simulation."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from study.bench import power as bench
from study.report.data.differences import (
    MOST,
    OUTSTANDING,
    Differences,
    alike,
    half_width,
    power,
    power_alone,
    seeds_for,
    smallest,
    smallest_alone,
    studentized_range,
)

RANDOM = np.random.default_rng(0)
TABLE = RANDOM.normal(size=(6, 3)) + RANDOM.normal(0, 5, (1, 3))


@pytest.mark.parametrize(("arms", "df", "expected"), [(2, 10, 3.15), (3, 4, 5.04), (6, 10, 4.91), (10, 20, 5.01)])
def test_the_studentized_range_is_that_of_the_printed_tables(arms: int, df: int, expected: float) -> None:
    assert studentized_range(arms, df) == pytest.approx(expected, abs=0.006)


def test_two_arms_have_the_interval_of_student_s_paired_t() -> None:
    pair = TABLE[:2]
    expected = stats.ttest_rel(pair[0], pair[1]).confidence_interval(0.95)
    assert Differences(pair).between(0, 1)[1:3] == pytest.approx(tuple(expected))


def test_the_interval_is_that_of_a_slow_twin_with_sums_written_out() -> None:
    arms, seeds = TABLE.shape
    mean = sum(TABLE[a][s] for a in range(arms) for s in range(seeds)) / (arms * seeds)
    squares = 0.0
    for a, s in itertools.product(range(arms), range(seeds)):
        squares += (TABLE[a][s] - sum(TABLE[a]) / seeds - sum(row[s] for row in TABLE) / arms + mean) ** 2
    half = 4.9120157 * math.sqrt(squares / ((arms - 1) * (seeds - 1)) / seeds)  # q(6, 10)
    gap = sum(TABLE[4]) / seeds - sum(TABLE[1]) / seeds
    found = Differences(TABLE)
    assert found.pooled
    assert found.between(4, 1) == pytest.approx((gap, gap - half, gap + half, 3), rel=1e-6)


def test_half_a_width_is_that_of_the_library_on_the_unblocked_design() -> None:
    groups = RANDOM.normal(size=(4, 5))
    interval = stats.tukey_hsd(*groups).confidence_interval(0.95)
    library = (interval.high[0, 1] - interval.low[0, 1]) / 2
    assert half_width(4, 4 * 4, 5) * math.sqrt(groups.var(axis=1, ddof=1).mean()) == pytest.approx(library, rel=1e-5)


def test_what_all_arms_share_at_a_seed_changes_no_interval() -> None:
    shifted = Differences(TABLE + np.array([[100.0, -30.0, 7.0]]))
    assert shifted.between(0, 5) == pytest.approx(Differences(TABLE).between(0, 5))


def test_where_runs_are_missing_the_scatter_is_that_of_least_squares_and_a_pair_has_its_common_seeds() -> None:
    table = RANDOM.normal(size=(4, 5))
    table[0, 0] = table[2, 4] = table[2, 1] = math.nan
    cells = [(a, s) for a in range(4) for s in range(5) if math.isfinite(table[a, s])]
    design = np.array([[a == i for i in range(4)] + [s == j for j in range(1, 5)] for a, s in cells], float)
    values = np.array([table[cell] for cell in cells])
    squares = np.linalg.lstsq(design, values, rcond=None)[1][0]
    found = Differences(table)
    assert found.fit.df == len(cells) - 8
    assert found.fit.scatter == pytest.approx(math.sqrt(squares / found.fit.df))
    gap, half = (table[0] - table[2])[[2, 3]].mean(), studentized_range(4, 9) * found.fit.scatter / math.sqrt(2)
    assert found.between(0, 2) == pytest.approx((gap, gap - half, gap + half, 2))


def test_an_arm_that_has_no_value_is_not_compared_and_costs_the_others_nothing() -> None:
    lost = np.vstack([TABLE, np.full((1, 3), math.nan)])
    assert Differences(lost).between(0, 1) == pytest.approx(Differences(TABLE).between(0, 1))
    assert Differences(lost).between(0, 6).seeds == 0


@pytest.mark.parametrize("table", [np.array([[1.0], [2.0], [3.0]]), np.array([[1.0, math.nan], [math.nan, 2.0]])])
def test_without_two_seeds_in_common_nothing_is_shown(table: np.ndarray) -> None:
    found = Differences(table)
    assert not found.between(0, 1).excludes(0.0)
    assert math.isnan(found.critical(1))
    assert math.isnan(found.seeds_needed(0, 1))


def test_where_an_arm_scatters_more_than_the_others_every_pair_rests_on_its_own_seeds() -> None:
    loud = RANDOM.normal(size=(6, 5))
    loud[3] *= 30
    found, gaps = Differences(loud), loud[0] - loud[1]
    half = stats.t.isf(0.025 / 15, 4) * gaps.std(ddof=1) / math.sqrt(5)
    assert not found.pooled
    assert found.between(0, 1)[1:3] == pytest.approx((gaps.mean() - half, gaps.mean() + half))
    assert math.isnan(found.critical(5))


def test_of_arms_that_scatter_alike_one_is_said_to_stand_out_as_often_as_the_rule_allows() -> None:
    wrong = np.mean([not alike(study.values) for study in bench.studies(6, 3, bench.SCATTERS["equal"], 3000)])
    assert wrong == pytest.approx(OUTSTANDING, abs=0.009)
    assert np.mean([not alike(s.values) for s in bench.studies(6, 5, bench.SCATTERS["one arm x 10"], 200)]) > 0.95


def test_a_difference_is_claimed_in_5_of_100_studies_that_have_none() -> None:
    assert bench.false_alarms(6, 3, bench.SCATTERS["equal"], 4000) == pytest.approx(0.0505, abs=0.009)


def test_with_runs_missing_it_is_no_more() -> None:
    wrong = 0
    for study in bench.studies(4, 5, bench.SCATTERS["equal"], 1000):
        found = Differences(np.where(np.eye(4, 5, k=1) == 1, math.nan, study.values))
        wrong += any(found.between(*pair).excludes(0.0) for pair in itertools.combinations(range(4), 2))
    assert wrong / 1000 == pytest.approx(0.05, abs=0.02)


def test_a_true_difference_of_4_standard_deviations_is_shown_in_87_of_100_studies_against_8_pair_by_pair() -> None:
    assert bench.shown(6, 3, 2000) == pytest.approx(0.87, abs=0.025)
    pairs = [study.values[0] - study.values[1] for study in bench.studies(6, 3, bench.SCATTERS["equal"], 2000, 4.0)]
    limit = stats.t.isf(0.025 / 15, 2)
    alone = np.mean([abs(gaps.mean()) > limit * gaps.std(ddof=1) / math.sqrt(3) for gaps in pairs])
    assert alone == pytest.approx(power_alone(4.0, 6, 3), abs=0.02)
    assert alone == pytest.approx(0.08, abs=0.02)


@pytest.mark.parametrize("size", [0.0, 2.0, 4.0])
def test_the_power_by_noncentral_t_is_that_of_simulated_means_and_scatters(size: float) -> None:
    draw, arms, df, seeds = np.random.default_rng(1), 6, 10, 3
    gap = draw.normal(size, math.sqrt(2 / seeds), 100_000)
    scatter = np.sqrt(draw.chisquare(df, 100_000) / df)
    expected = np.mean(np.abs(gap) > half_width(arms, df, seeds) * scatter)
    assert power(size, arms, df, seeds) == pytest.approx(expected, abs=0.005)


def test_the_smallest_difference_has_80_percent_power_and_lies_above_the_critical_one() -> None:
    assert power(smallest(6, 10, 3), 6, 10, 3) == pytest.approx(0.8)
    assert smallest(6, 10, 3) > half_width(6, 10, 3)
    assert power_alone(smallest_alone(6, 3), 6, 3) == pytest.approx(0.8)
    found = Differences(TABLE)
    assert found.detectable(3) == pytest.approx(smallest(6, 10, 3) * found.fit.scatter)
    gap = found.between(0, 1)
    assert found.critical(3) == pytest.approx((gap.high - gap.low) / 2)


@pytest.mark.parametrize("size", [0.8, 2.0, 6.0])
def test_the_seeds_needed_are_the_fewest_with_80_percent_power(size: float) -> None:
    needed = int(seeds_for(size, 4, pooled=True))
    assert power(size, 4, 3 * (needed - 1), needed) >= 0.8
    assert needed == 2 or power(size, 4, 3 * (needed - 2), needed - 1) < 0.8
    alone = int(seeds_for(size, 4, pooled=False))
    assert power_alone(size, 4, alone) >= 0.8 > power_alone(size, 4, alone - 1)
    assert alone > needed


def test_of_a_difference_too_small_to_show_the_seeds_are_not_counted() -> None:
    assert seeds_for(0.01, 3, pooled=True) == math.inf
    assert MOST == 100
