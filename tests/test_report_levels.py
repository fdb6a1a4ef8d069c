"""An arm against a number: its scatter against a slow twin, its errors and its power by simulation."""

import math

import numpy as np
import pytest

from study.report.data.levels import level_intervals, scatter
from study.report.data.statistics import mean_interval, student

TABLE = np.array([[1.0, 1.2, 0.9], [2.0, 2.5, 1.8], [1.5, 1.4, 1.3], [0.7, 1.1, 0.6]])
ROUNDS = 200


def studies(arms: int, seeds: int, shift: float, first: float = 0.0) -> list[np.ndarray]:
    """Simulated gaps of arms at the number, shifted together by seeds; the first arm lies away from it."""
    draw = np.random.default_rng(0)
    tables = draw.normal(size=(ROUNDS, arms, seeds)) + draw.normal(0, shift, (ROUNDS, 1, seeds))
    tables[:, 0] += first
    return list(tables)


def test_the_scatter_is_that_within_arms_and_its_freedom_satterthwaite_s() -> None:
    arms, seeds = TABLE.shape
    mean, of_arms, of_seeds = TABLE.mean(), TABLE.mean(1, keepdims=True), TABLE.mean(0, keepdims=True)
    rest = ((TABLE - of_arms - of_seeds + mean) ** 2).sum() / ((arms - 1) * (seeds - 1))
    shared = arms * ((of_seeds - mean) ** 2).sum() / (seeds - 1)
    variance = (arms - 1) / arms * rest + shared / arms
    found = scatter(TABLE)
    assert found.deviation**2 == pytest.approx(variance)
    assert found.deviation**2 == pytest.approx(TABLE.var(axis=1, ddof=1).mean())
    parts = ((arms - 1) / arms * rest) ** 2 / ((arms - 1) * (seeds - 1)), (shared / arms) ** 2 / (seeds - 1)
    assert found.df == pytest.approx(variance**2 / sum(parts))


def test_an_interval_is_student_s_with_the_scatter_of_all_arms() -> None:
    found, pooled = level_intervals(TABLE)[2], scatter(TABLE)
    half = student(pooled.df, 4) * pooled.deviation / math.sqrt(3)
    assert found == (TABLE[2].mean(), TABLE[2].mean() - half, TABLE[2].mean() + half, 3)


def test_two_arms_and_arms_that_scatter_otherwise_rest_on_their_own_seeds() -> None:
    assert level_intervals(TABLE[:2])[0] == mean_interval(TABLE[0], among=2)
    loud = np.vstack([TABLE[:3], [0.0, 50.0, -50.0]])
    assert level_intervals(loud)[0] == mean_interval(TABLE[0], among=4)


def test_runs_that_were_lost_are_left_out_and_one_alone_has_no_interval() -> None:
    lost = TABLE.copy()
    lost[1, 0], lost[3, 1:] = math.nan, math.nan
    assert level_intervals(lost)[1].seeds == 2
    assert level_intervals(lost)[1].mean == pytest.approx(2.15)
    assert math.isnan(level_intervals(lost)[3].low)
    assert level_intervals(np.full((3, 3), math.nan))[0].seeds == 0
    assert level_intervals(np.zeros((3, 2)))[0] == (0, 0, 0, 2)  # nothing scatters


@pytest.mark.parametrize(("arms", "seeds"), [(6, 2), (3, 3), (6, 3)])
@pytest.mark.parametrize("shift", [0.0, 1.0, 5.0])
def test_of_arms_at_the_number_some_is_said_to_differ_in_5_of_100_studies(arms: int, seeds: int, shift: float) -> None:
    wrong = [any(interval.excludes(0.0) for interval in level_intervals(t)) for t in studies(arms, seeds, shift)]
    assert np.mean(wrong) <= 0.10


def test_an_arm_four_deviations_away_is_said_to_differ_at_three_seeds() -> None:
    away = studies(6, 3, 0.5, first=4.0)
    assert np.mean([level_intervals(table)[0].excludes(0.0) for table in away]) > 0.9
    assert np.mean([mean_interval(table[0], among=6).excludes(0.0) for table in away]) < 0.4
