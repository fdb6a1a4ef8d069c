"""How far arms are from a number that does not scatter with them: the measure of an opponent, or the naive guess's."""

import math
from typing import NamedTuple

import numpy as np

from study.report.data.differences import Fit, Table, alike
from study.report.data.statistics import Interval, mean_interval, student


class Scatter(NamedTuple):
    """The standard deviation of one run around the mean of its arm over seeds, and the degrees of freedom behind it."""

    deviation: float
    df: float


def level_interval(gaps: Table, row: int) -> Interval:
    """The mean of one arm's gaps to a number, with an interval that holds for all arms together (Bonferroni).

    Where three or more arms scatter alike, the scatter is that of all of them. Simulated studies of arms that lie at
    the number, where seeds shift all arms together by 0, 1 or 5 standard deviations of the rest: some arm is said to
    differ in

        arms x seeds                 6 x 2           3 x 3           6 x 3           6 x 5
        0, 1, 5                 3%, 4%, 8%      3%, 4%, 4%      4%, 5%, 4%      5%, 4%, 2%

    of them (nominal: 5%). An arm 4 standard deviations away is said to differ in 65%, 92%, 96%, 100% (seeds shift by a
    half), where each rests on its own seeds in 5%, 48%, 28%, 96%.

    Args:
        gaps: one row an arm, one column a seed; NaN where a run was lost or was not made.
        row: the arm.
    """
    mine, arms = gaps[row][np.isfinite(gaps[row])], int(np.isfinite(gaps).any(axis=1).sum())
    if len(mine) < 2 or arms < 3 or not alike(gaps):
        return mean_interval(mine, among=max(1, arms))
    found = scatter(gaps)
    if not found.df > 0:
        return mean_interval(mine, among=arms)
    mean, half = float(mine.mean()), student(found.df, arms) * found.deviation / math.sqrt(len(mine))
    return Interval(mean, mean - half, mean + half, len(mine))


def scatter(gaps: Table) -> Scatter:
    """The scatter within arms, pooled over them.

    It has two parts: what seeds do to all arms alike, with few degrees of freedom, and the rest. The degrees of freedom
    of their sum are Satterthwaite's (1946, Biometrics Bulletin 2, 110).
    """
    present = np.isfinite(gaps)
    rows = gaps[present.any(axis=1)]
    within = float(np.nansum((rows - np.nanmean(rows, axis=1, keepdims=True)) ** 2))
    df = int((present.sum(axis=1) - 1).clip(0).sum())
    fit = Fit.of(gaps)
    rest = float(fit.residuals @ fit.residuals)
    parts = ((rest, fit.df), (within - rest, df - fit.df))
    spread = sum(squares**2 / of for squares, of in parts if of > 0)
    return Scatter(math.sqrt(within / df) if df else math.nan, within**2 / spread if spread > 0 else math.nan)
