"""The decay of a gradient over the lag, in words of steps. No torch: reports need none."""

import math

FROM = 20
"""Decay is fitted from this lag on, or from half of the lags on if that is less: the first are not exponential."""
REACHED = 0.01
"""The effective horizon is the largest lag that keeps this share of the gradient at lag 0."""


def half_life(decay: float) -> float:
    """Steps in which a gradient changing by `decay` nats a step halves: ln 2 / -decay; inf if it does not shrink."""
    return math.log(2) / -decay if decay < 0 else math.inf
