"""Which tuned keys matter, alone and in pairs: functional ANOVA of a forest (Hutter, Hoos & Leyton-Brown 2014).

The variance V of a tree over the search space splits exactly: with V_U the variance of its mean over all keys but U,

    alone_i = V_i / V,    pair_ij = (V_ij - V_i - V_j) / V,    the rest: interactions of three keys and more.

A tree is constant in boxes, so V_U is a sum over pairs of leaves. Optuna's `FanovaImportanceEvaluator` computes the
first of these for the same forest; no maintained library computes the second.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from sklearn.ensemble import RandomForestRegressor

from study.report.data.trials import Search

FEWEST = 10
"""Fewest trials that a forest is fitted to."""
TREES = 64
"""Of a forest."""


class Importance(NamedTuple):
    """Shares of the variance of the trials' values, mean over trees.

    Attributes:
        shares: on the diagonal of each key alone, off it of each pair beyond its two keys.
        fit: out-of-bag R^2 of the forest; at 0 or below the shares mean nothing.
    """

    shares: Float[np.ndarray, "keys keys"]
    fit: float


def importance(points: Float[np.ndarray, "trials keys"], values: Float[np.ndarray, " trials"]) -> Importance | None:
    """Shares of the variance of `values` over the unit cube of `points`.

    Returns:
        The shares; None for fewer than `FEWEST` trials or equal values.
    """
    if len(values) < FEWEST or np.ptp(values) == 0:
        return None
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=0).fit(points, values)
    shares = [_shares(*_boxes(tree.tree_, points.shape[1])) for tree in forest.estimators_]
    found = [share for share in shares if share is not None]
    return Importance(np.mean(found, axis=0), float(forest.oob_score_)) if found else None


def importances_by_arm(search: Search) -> dict[str, Importance | str]:
    """The importance of the keys tuned in every arm, or in words why there is none."""
    return {arm: _of_arm(search, arm) for arm in search.arms}


def _of_arm(search: Search, arm: str) -> Importance | str:
    axes, trials = search.axes_of(arm), search.of(arm)
    if len(axes) < 2:
        return f"only {axes[0].label} varied" if axes else "no tuned key varied"
    if len(trials) < FEWEST:
        return f"{len(trials)} of the {FEWEST} trials that it takes"
    points = np.stack([axis.unit(trials[axis.key]) for axis in axes], axis=1)
    found = importance(points, search.ranks(arm))
    if found is None:
        return "all trials are worth the same"
    return found if found.fit > 0 else f"a forest predicts them no better than their mean: R² {found.fit:.2f}"


def _boxes(tree: Any, keys: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower and upper corners of the leaves, both (leaves, keys), and the values of the leaves."""
    low, high = np.zeros((tree.node_count, keys)), np.ones((tree.node_count, keys))
    for node, (left, right) in enumerate(zip(tree.children_left, tree.children_right, strict=True)):
        if left >= 0:  # an inner node; parents are numbered before their children
            low[[left, right]], high[[left, right]] = low[node], high[node]
            high[left, tree.feature[node]] = low[right, tree.feature[node]] = tree.threshold[node]
    leaves = tree.children_left < 0
    return low[leaves], high[leaves], tree.value[leaves, 0, 0]


def _shares(low: np.ndarray, high: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """The shares of one tree; None for a constant one."""
    keys, variance = low.shape[1], _variances(low, high, values)
    whole = variance(*range(keys))
    if not whole > 0:
        return None
    shares = np.diag([variance(key) for key in range(keys)])
    for i, j in itertools.combinations(range(keys), 2):
        shares[i, j] = shares[j, i] = variance(i, j) - shares[i, i] - shares[j, j]
    return np.clip(shares, 0, None) / whole


def _variances(low: np.ndarray, high: np.ndarray, values: np.ndarray) -> Callable[..., float]:
    """V_U as a function of the keys in U: over pairs of leaves, overlaps in U times widths elsewhere."""
    widths = high - low
    centred = values - values @ widths.prod(1)
    overlap = np.clip(np.minimum(high[:, None], high) - np.maximum(low[:, None], low), 0, None)
    apart = widths[:, None] * widths

    def variance(*keys: int) -> float:
        inside = np.isin(np.arange(low.shape[1]), keys)
        return float(centred @ np.where(inside, overlap, apart).prod(-1) @ centred)

    return variance
