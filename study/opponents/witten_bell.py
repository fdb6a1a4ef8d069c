"""Interpolated Witten-Bell n-grams (Witten & Bell 1991; as in Chen & Goodman 1998, section 2.5).

p_n(w | h) = (c(h w) + T(h) p_{n-1}(w | h')) / (c(h) + T(h)); T(h) is how many different tokens followed h.
"""

from collections.abc import Sequence

import numpy as np

from study.opponents.ngrams import Grams, Interpolated, NgramLevel, fit_orders, interpolate
from study.tasks import Task


def fit(task: Task) -> Interpolated:
    """Witten-Bell n-grams, their order chosen on the validation part."""
    return fit_orders(task, witten_bell, "Witten-Bell")


def witten_bell(grams: Sequence[Grams]) -> list[NgramLevel]:
    """A context gives to the lower order as much as it was followed by different tokens."""
    return [interpolate(g, g.counts, np.bincount(g.context, minlength=g.contexts)) for g in grams]
