"""How far arms are from a number that does not scatter with them: the measure of an opponent, or the naive guess's."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from study.report.data.differences import Fit, Table, alike
from study.report.data.statistics import Interval, mean_interval, student


class Scatter(NamedTuple):
    """The standard deviation of one run around the mean of its arm over seeds, and the degrees of freedom behind it."""

    deviation: float
    df: float


def level_intervals(gaps: Table) -> list[Interval]:
    """The mean of every arm's gaps to a number, with intervals that hold for all arms together (Bonferroni).

    Where three or more arms scatter alike, the scatter is that of all of them. Simulated studies of arms that lie at
    the number, where seeds shift all arms together by 0, 1 or 5 standard deviations of the rest: some arm is said to
    differ in so many of them (nominal: 5%), and an arm 4 standard deviations away in so many (`study.bench.power`):

        arms x seeds                  3 x 3         6 x 3         6 x 5        12 x 3
        at the number          4%, 4%, 4%    3%, 5%, 4%    4%, 4%, 2%    5%, 5%, 3%
        4 away                        92%           94%          100%           95%

    At two seeds that shift all arms by 5 it is 8%, at 6 arms.

    Args:
        gaps: one row an arm, one column a seed; NaN where a run was lost or was not made.
    """
    arms = int(np.isfinite(gaps).any(axis=1).sum())
    found = scatter(gaps) if arms >= 3 and alike(gaps) else Scatter(math.nan, math.nan)
    return [_interval(row[np.isfinite(row)], found, max(1, arms)) for row in gaps]


def _interval(mine: Float[np.ndarray, " seeds"], found: Scatter, arms: int) -> Interval:
    """By the scatter of all arms; by the arm's own where that is NaN."""
    if len(mine) < 2 or not found.df > 0:
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
