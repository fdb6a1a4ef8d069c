"""Interpolated modified Kneser-Ney n-grams (Chen & Goodman 1998, section 3): the strongest of the classical n-grams.

p_n(w | h) = (c(h w) - D(c)) / c(h) + gamma(h) p_{n-1}(w | h'). The highest order counts occurrences; every lower one
counts how many different tokens came before an n-gram, for it is asked only where the longer one was not seen. The
discounts D(1), D(2), D(3 and more) follow from how many n-grams have the counts 1, 2, 3 and 4.
"""

from collections.abc import Sequence

import numpy as np

from study.opponents.ngrams import Array, Grams, Interpolated, NgramLevel, fit_orders, interpolate
from study.tasks import Task

FEW = (0.0, 0.5, 0.5, 0.5)
"""Discounts where the counts of counts leave nothing to estimate them from, as for the characters themselves."""


def fit(task: Task) -> Interpolated:
    """Kneser-Ney n-grams, their order chosen on the validation part."""
    return fit_orders(task, kneser_ney, "Kneser-Ney")


def kneser_ney(grams: Sequence[Grams]) -> list[NgramLevel]:
    """What is discounted of a context's counts is what it gives to the lower order."""
    counts = [*map(continuations, grams[:-1], grams[1:]), grams[-1].counts]
    levels = []
    for g, c in zip(grams, counts, strict=True):
        discount = discounts(c)[np.minimum(c, 3)]
        levels.append(interpolate(g, c - discount, np.bincount(g.context, weights=discount, minlength=g.contexts)))
    return levels


def continuations(grams: Grams, longer: Grams) -> Array:
    """For every n-gram, how many different tokens came before it: the (n+1)-grams that end in it."""
    return np.bincount(grams.at[longer.first], minlength=len(grams.codes))


def discounts(counts: Array) -> Array:
    """D(0), D(1), D(2), D(3 and more): D(k) = k - (k + 1) Y n_{k+1} / n_k, Y = n_1 / (n_1 + 2 n_2)."""
    n1, n2, n3, n4 = np.bincount(np.minimum(counts, 5), minlength=5)[1:5]
    if not (n1 and n2 and n3):
        return np.array(FEW)
    y = n1 / (n1 + 2 * n2)
    d = np.array([0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return d.clip(0, [0, 1, 2, 3])
