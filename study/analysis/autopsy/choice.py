"""Which update of a run is taken apart."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from study.analysis.diagnosis.events import spikes
from study.analysis.diagnosis.thresholds import LEAP, SPIKE
from study.errors import ConfigError

Why = Literal["asked", "diverged", "spike", "loss", "largest"]


class Chosen(NamedTuple):
    """An update, and why it was chosen.

    Attributes:
        update: whose gradient is taken apart, from 1: the last one up to `event` that is finite, if there is one.
        event: that was asked for, or at which something happened.
        why: asked for; the run diverged; the largest leap of the norm; its step came before the first leap of the loss;
            or no leap, but the largest norm over its level.
        ratio: of the norm at `update` over its level; NaN where the updates before are too few to make a level.
        finite: whether there is anything to take apart.
        risen: the first update whose loss was `LEAP` times the first one; 0: none was.
    """

    update: int
    event: int
    why: Why
    ratio: float
    finite: bool
    risen: int


def choose(
    losses: Float[np.ndarray, " updates"],
    norms: Float[np.ndarray, " updates"],
    diverged: bool,
    asked: int | None = None,
) -> Chosen:
    """Choose an update.

    Args:
        losses: of every update recorded.
        norms: of their gradients before clipping.
        diverged: whether the run ended by diverging at the last one.
        asked: the update that was asked for; None: the divergence, else the largest leap of the norm, else the step
            before the first leap of the loss, else the largest norm over its level.

    Raises:
        ConfigError: the run has no such update.
    """
    if asked is not None and not 1 <= asked <= len(norms):
        raise ConfigError(f"UPDATE = {asked}: the run made updates 1 to {len(norms):,}")
    finite, ratios, risen = np.isfinite(losses) & np.isfinite(norms), spikes(norms), _risen(losses)
    event, why = _event(ratios, norms, diverged or not finite[-1], risen) if asked is None else (asked, "asked")
    before = np.flatnonzero(finite[:event])
    update = int(before[-1]) + 1 if len(before) else event
    ratio = float(ratios[update - 1]) or np.nan
    return Chosen(update, event, why, ratio, bool(len(before)), risen)


def _risen(losses: Float[np.ndarray, " updates"]) -> int:
    """The first update whose loss was far above the first one; 0: none was."""
    leapt = np.flatnonzero(losses >= LEAP * losses[0]) if losses[0] > 0 else np.empty(0, int)
    return int(leapt[0]) + 1 if len(leapt) else 0


def _event(
    ratios: Float[np.ndarray, " updates"], norms: Float[np.ndarray, " updates"], diverged: bool, risen: int
) -> tuple[int, Why]:
    if diverged:
        return len(norms), "diverged"
    if ratios.max() > SPIKE:
        return int(ratios.argmax()) + 1, "spike"
    if risen > 1:
        return risen - 1, "loss"
    level = ratios if ratios.any() else norms  # too few updates for a level
    return int(np.nanargmax(level)) + 1, "largest"
