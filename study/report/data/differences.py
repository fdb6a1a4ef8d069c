"""Differences between arms: Tukey's studentized range on the blocked design, arms x seeds. No runs, no drawing here.

Model: value = arm + seed + scatter. A seed is a block: what it does to every arm alike cancels in a difference. The
scatter is estimated from all arms together, with (arms - 1)(seeds - 1) degrees of freedom where no run is missing, and
one interval is made for all pairs of arms together, so that looking at the best arm, chosen by the same runs, does no
harm (Tukey 1953; Kramer 1956 where seeds are missing: then a pair rests on the seeds that both arms completed).

Pooling needs arms that scatter alike. Where one stands out (`alike`: Cochran 1941, at 2%) every difference rests on its
own seeds: Student's t with n - 1 degrees of freedom, Bonferroni over all pairs of arms. How often a study of arms with
the same mean calls some difference shown (nominal: 5%; `python -m study.bench.power`, 4,000 studies a number):

    arms x seeds                        3 x 3    6 x 3    6 x 5   12 x 3
    equal scatter                        5.3%     5.1%     4.9%     4.7%
    one arm's 3 times the others'        7.4%    11.2%     8.2%    14.4%
    one arm's 10 times the others'      10.1%    10.8%     3.8%    10.3%
    half of the arms' 3 times            7.4%     9.9%     8.8%    13.0%
    3 of 10 runs fail outright           3.0%     3.8%     4.4%     1.7%

Without the rule the third row reads 9.7%, 18.4%, 15.7%, 28.7%; three seeds are too few to see milder ones. Only
Bonferroni keeps all of them below 5%, at a price. A true difference of 4 standard deviations of one run is shown in

    blocked, Tukey                        85%      87%      99%      85%
    each pair alone, Bonferroni           34%       8%      59%       2%

80% of studies show a difference of 3.8, 3.6, 2.6 and 3.7 standard deviations; one of 2 takes 7 to 9 seeds, one of 1
takes 22 (3 arms), 28 (6 arms), 35 (12 arms).
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float
from scipy import optimize, stats

from study.report.data.statistics import LEVEL, Interval, mean_interval, student

Table = Float[np.ndarray, "arms seeds"]

OUTSTANDING = 0.02
"""How often, of arms that scatter alike, one is taken for standing out: at 5% the power in the table above is 85%."""
ENOUGH = 6
"""Degrees of freedom from which on the rule is asked: 4 arms and 3 seeds, or 3 and 4."""
DRAWS = 10_000
"""Simulated studies behind the critical value of Cochran's C."""
POWER = 0.8
"""With this probability a study shows a difference of its `detectable` size."""
MOST = 100
"""More seeds than this are not counted."""


@dataclass(frozen=True)
class Differences:
    """What the runs of a study say about the differences between its arms.

    Attributes:
        values: one row an arm, one column a seed; NaN where a run diverged or was not made.
    """

    values: Table

    @property
    def arms(self) -> int:
        """Arms with a value: those that are compared."""
        return int(np.isfinite(self.values).any(axis=1).sum())

    @property
    def pairs(self) -> int:
        """Pairs of arms that are compared."""
        return math.comb(self.arms, 2)

    @cached_property
    def fit(self) -> "Fit":
        """What is left of the values without the effects of arms and seeds."""
        return Fit.of(self.values)

    @cached_property
    def pooled(self) -> bool:
        """Whether the arms scatter alike as far as is known, so that all of them tell of the scatter of each."""
        return self.fit.df > 0 and alike(self.values)

    def between(self, row: int, other: int) -> Interval:
        """Mean of `row` minus `other` over the seeds that both completed; 95% for all pairs together."""
        gaps = self.values[row] - self.values[other]
        gaps = gaps[np.isfinite(gaps)]
        if len(gaps) < 2 or not self.pooled:
            return mean_interval(gaps, among=max(1, self.pairs))
        mean, half = float(gaps.mean()), self.critical(len(gaps))
        return Interval(mean, mean - half, mean + half, len(gaps))

    def critical(self, seeds: int) -> float:
        """What a difference between two means over `seeds` must exceed to be called shown; NaN without a pool."""
        return half_width(self.arms, self.fit.df, seeds) * self.fit.scatter if self.pooled else math.nan

    def detectable(self, seeds: int) -> float:
        """The true difference that is called shown in 80% of studies like this one; NaN without a pool."""
        return smallest(self.arms, self.fit.df, seeds) * self.fit.scatter if self.pooled else math.nan

    def seeds_needed(self, row: int, other: int) -> float:
        """Seeds at which a true difference of the size seen would be called shown in 80% of studies.

        inf if more than `MOST`; NaN if no difference or scatter was seen. The difference seen, from the best arm, is on
        average larger than the true one, so this is rather too few.
        """
        gaps = self.values[row] - self.values[other]
        gaps = gaps[np.isfinite(gaps)]
        if len(gaps) < 2:
            return math.nan
        scatter = self.fit.scatter if self.pooled else float(gaps.std(ddof=1)) / math.sqrt(2)
        size = abs(float(gaps.mean())) / scatter if scatter > 0 else math.nan
        return seeds_for(size, self.arms, self.pooled) if size > 0 else math.nan


@dataclass(frozen=True)
class Fit:
    """Arm and seed effects taken out of a table by least squares, whatever is missing of it.

    Attributes:
        residuals: one a finite cell, row by row.
        rows: the arm of each.
        freedom: degrees of freedom that each arm contributes.
        df: degrees of freedom; (arms - 1)(seeds - 1) where nothing is missing.
    """

    residuals: Float[np.ndarray, " cells"]
    rows: np.ndarray
    freedom: Float[np.ndarray, " arms"]
    df: int

    @classmethod
    def of(cls, values: Table) -> "Fit":
        """Fit a table."""
        present = np.isfinite(values)
        rows, basis = np.nonzero(present)[0], _basis(present)
        cells = values[present] - (values[present].mean() if present.any() else 0.0)
        freedom = np.bincount(rows, 1 - (basis**2).sum(axis=1), minlength=len(values))
        return cls(cells - basis @ (basis.T @ cells), rows, freedom, len(cells) - basis.shape[1])

    @property
    def scatter(self) -> float:
        """Standard deviation of one run around its arm and seed."""
        return math.sqrt(float(self.residuals @ self.residuals) / self.df) if self.df else math.nan


def _basis(present: np.ndarray) -> Float[np.ndarray, "cells rank"]:
    """Orthonormal columns that span the effects of arms and seeds, for the cells that are present."""
    arms, seeds = np.nonzero(present)
    design = np.hstack([np.eye(present.shape[0])[arms], np.eye(present.shape[1])[seeds]])
    vectors, sizes, _ = np.linalg.svd(design, full_matrices=False)
    return vectors[:, sizes > 1e-9]


def alike(values: Table) -> bool:
    """Whether no arm scatters more than the others by more than chance: Cochran's C on the residuals.

    C is the largest share that an arm has in the sum of all arms' variances. Its critical value is that of simulated
    tables with the same cells missing (the tabulated one is for independent variances, which residuals do not have: at
    3 arms it is never reached). Two arms always have the same residuals: there is nothing to tell. At 3 arms and 3
    seeds asking costs more false alarms than it saves (6.2% of studies against 5.0%).
    """
    table = values[np.isfinite(values).any(axis=1)]
    fit, present = Fit.of(table), np.isfinite(table)
    if len(table) < 3 or fit.df < ENOUGH:
        return True
    largest = _shares(fit.residuals[None], fit.rows, fit.freedom)[0].max()
    return bool(largest <= _critical_share(present.tobytes(), present.shape))


def _shares(
    residuals: Float[np.ndarray, "studies cells"], rows: np.ndarray, freedom: Float[np.ndarray, " arms"]
) -> Float[np.ndarray, "studies arms"]:
    """The share of each arm in the sum of the arms' variances."""
    sums = np.stack([(residuals[:, rows == arm] ** 2).sum(axis=1) for arm in range(len(freedom))], axis=1)
    variances = sums / np.where(freedom > 1e-9, freedom, np.inf)
    return variances / np.maximum(variances.sum(axis=1, keepdims=True), np.finfo(float).tiny)


@lru_cache(maxsize=256)
def _critical_share(present: bytes, shape: tuple[int, int]) -> float:
    """The share that the most scattered of arms alike exceeds in 5% of studies with these cells."""
    mask = np.frombuffer(present, dtype=bool).reshape(shape)
    basis, rows = _basis(mask), np.nonzero(mask)[0]
    draws = np.random.default_rng(0).normal(size=(DRAWS, len(rows)))
    freedom = np.bincount(rows, 1 - (basis**2).sum(axis=1), minlength=shape[0])
    largest = _shares(draws - (draws @ basis) @ basis.T, rows, freedom).max(axis=1)
    return float(np.quantile(largest, 1 - OUTSTANDING))


@lru_cache(maxsize=1024)
def studentized_range(arms: int, df: int) -> float:
    """The upper 5% point of Tukey's studentized range."""
    return float(stats.studentized_range.ppf(LEVEL, arms, df))


def half_width(arms: int, df: int, seeds: int) -> float:
    """Half an interval of a difference between two means over `seeds`, in standard deviations of one run's scatter."""
    return studentized_range(arms, df) / math.sqrt(seeds)


def power(size: float, arms: int, df: int, seeds: int) -> float:
    """Probability that a true difference of `size` standard deviations is called shown, by noncentral t.

    The difference of two means over its estimated error is noncentral t with df degrees of freedom and noncentrality
    size sqrt(seeds / 2), exactly; it is called shown beyond q / sqrt(2).
    """
    return _beyond(studentized_range(arms, df) / math.sqrt(2), df, size * math.sqrt(seeds / 2))


def power_alone(size: float, arms: int, seeds: int) -> float:
    """The same where each pair rests on its own seeds (Student's t with n - 1, Bonferroni over all pairs)."""
    return _beyond(student(seeds - 1, math.comb(arms, 2)), seeds - 1, size * math.sqrt(seeds / 2))


def _beyond(limit: float, df: int, noncentrality: float) -> float:
    """P(|T| > limit)."""
    both = stats.nct.sf(limit, df, noncentrality), stats.nct.sf(limit, df, -noncentrality)
    return float(np.nansum(both))


@lru_cache(maxsize=1024)
def smallest(arms: int, df: int, seeds: int) -> float:
    """The difference, in standard deviations of one run's scatter, that is called shown with 80% probability."""
    middle = half_width(arms, df, seeds)  # shown in about half of all studies
    return float(optimize.brentq(lambda size: power(size, arms, df, seeds) - POWER, middle, 3 * middle))


def smallest_alone(arms: int, seeds: int) -> float:
    """The same where each pair rests on its own seeds."""
    middle = student(seeds - 1, math.comb(arms, 2)) * math.sqrt(2 / seeds)
    return float(optimize.brentq(lambda size: power_alone(size, arms, seeds) - POWER, middle / 2, 5 * middle))


def seeds_for(size: float, arms: int, pooled: bool) -> float:
    """The fewest seeds for which a difference of `size` has 80% power; inf if more than `MOST`."""

    def enough(seeds: int) -> bool:
        if pooled:
            return power(size, arms, (arms - 1) * (seeds - 1), seeds) >= POWER
        return power_alone(size, arms, seeds) >= POWER

    if not enough(MOST):
        return math.inf
    # Where it would be with ever so many degrees of freedom; the search starts there, for each step takes 0.2 s.
    most = studentized_range(arms, (arms - 1) * (MOST - 1)) / math.sqrt(2)
    limit = most if pooled else student(MOST - 1, math.comb(arms, 2))
    seeds = max(2, min(MOST, math.ceil(2 * ((limit + stats.norm.ppf(POWER)) / size) ** 2) - 1))
    while seeds > 2 and enough(seeds - 1):
        seeds -= 1
    while not enough(seeds):
        seeds += 1
    return float(seeds)
