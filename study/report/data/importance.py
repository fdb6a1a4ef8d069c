"""Which tuned keys matter, alone and in pairs: functional ANOVA of a forest (Hutter, Hoos & Leyton-Brown 2014).

The variance V of a tree over the search space splits exactly: with V_U the variance of its mean over all keys but U,

    alone_i = V_i / V,    pair_ij = (V_ij - V_i - V_j) / V,    the rest: interactions of three keys and more.

A tree is constant in boxes, so that V_U is a sum over pairs of leaves. Optuna's `FanovaImportanceEvaluator` gives the
first of these for the same forest, and no kept library gives the second.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from sklearn.ensemble import RandomForestRegressor

FEWEST = 10
"""Trials below which no forest is fitted."""
TREES = 64


class Importance(NamedTuple):
    """Shares of the variance of what trials came to, mean over trees.

    Attributes:
        shares: of every key alone on the diagonal, of every pair beyond its two keys off it.
        fit: R^2 of the forest on trials that its trees were not fitted to; below 0: the shares say nothing.
    """

    shares: Float[np.ndarray, "keys keys"]
    fit: float


def importance(points: Float[np.ndarray, "trials keys"], values: Float[np.ndarray, " trials"]) -> Importance | None:
    """Shares of the variance of `values` over the unit cube in which `points` lie; None where there is too little."""
    if len(values) < FEWEST or np.ptp(values) == 0:
        return None
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=0).fit(points, values)
    shares = [_shares(*_boxes(tree.tree_, points.shape[1])) for tree in forest.estimators_]
    found = [share for share in shares if share is not None]
    return Importance(np.mean(found, axis=0), float(forest.oob_score_)) if found else None


def _boxes(tree: Any, keys: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower and upper corners of the leaves, (leaves, keys), and their values."""
    low, high = np.zeros((tree.node_count, keys)), np.ones((tree.node_count, keys))
    for node, (left, right) in enumerate(zip(tree.children_left, tree.children_right, strict=True)):
        if left >= 0:  # a parent comes before its children
            low[[left, right]], high[[left, right]] = low[node], high[node]
            high[left, tree.feature[node]] = low[right, tree.feature[node]] = tree.threshold[node]
    leaves = tree.children_left < 0
    return low[leaves], high[leaves], tree.value[leaves, 0, 0]


def _shares(low: np.ndarray, high: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """The shares of one tree; None for one that is constant."""
    keys, variance = low.shape[1], _variances(low, high, values)
    whole = variance(*range(keys))
    if not whole > 0:
        return None
    shares = np.diag([variance(key) for key in range(keys)])
    for i, j in itertools.combinations(range(keys), 2):
        shares[i, j] = shares[j, i] = variance(i, j) - shares[i, i] - shares[j, j]
    return np.clip(shares, 0, None) / whole


def _variances(low: np.ndarray, high: np.ndarray, values: np.ndarray) -> Callable[..., float]:
    """V_U as a function of the keys in U: sums over pairs of leaves, of what they share in U and span elsewhere."""
    widths = high - low
    centred = values - values @ widths.prod(1)
    overlap = np.clip(np.minimum(high[:, None], high) - np.maximum(low[:, None], low), 0, None)
    apart = widths[:, None] * widths

    def variance(*keys: int) -> float:
        inside = np.isin(np.arange(low.shape[1]), keys)
        return float(centred @ np.where(inside, overlap, apart).prod(-1) @ centred)

    return variance
