"""What happened to a run while it trained, in the order in which it happened: symptoms, by which a cause is found."""

import math
from collections.abc import Sequence
from itertools import takewhile
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from study.analysis.diagnosis.facts import Course, Facts, Probed, Setup
from study.analysis.diagnosis.outcome import highest, lasting_leap
from study.analysis.diagnosis.thresholds import LEAP, LEAST, RISE, SPIKE, STRETCH, VANISHED
from study.probes.saturation import Saturation

Kind = Literal["loss", "norm", "saturation", "flow"]


class Event(NamedTuple):
    """Something that happened.

    Attributes:
        update: at which it was first to be seen (from 1); of what probes saw, the update after which they measured.
        kind: what happened.
        words: the same in words, with its numbers.
    """

    update: int
    kind: Kind
    words: str


def events(facts: Facts) -> list[Event]:
    """All events of a run, the first one first."""
    course, probed, setup = facts.course, facts.probed, facts.setup
    found = [_loss_leap(course), _norm_leap(course), _saturation_rise(probed), _flow_change(probed, setup)]
    return sorted(event for event in found if event is not None)


def _loss_leap(course: Course) -> Event | None:
    """The first loss that leapt and stayed up, else the highest that leapt; its words name the highest."""
    peak, lasting = highest(course.losses), lasting_leap(course.losses)
    if not peak.ratio >= LEAP:
        return None
    times = _fold(peak.ratio)
    if lasting is None:
        return Event(peak.update, "loss", f"the loss leapt {times} at update {peak.update} and was back at once")
    return Event(lasting, "loss", f"the loss rose {times} by update {peak.update}")


def _norm_leap(course: Course) -> Event | None:
    """The first leap of the gradient norm, or the first norm that is not finite."""
    ratios, lost = spikes(course.norms), ~np.isfinite(course.norms)
    leapt = (ratios > SPIKE) | lost
    if not leapt.any():
        return None
    first = int(leapt.argmax())
    if lost[first]:
        return Event(first + 1, "norm", f"the gradient norm left the finite numbers at update {first + 1}")
    worst = int(ratios.argmax())
    times = f"{ratios[worst]:.0f} times its level ({course.norms[worst]:.1e})"
    others = f", in {leapt.sum()} of {len(leapt)} updates in all" if leapt.sum() > 1 else ""
    return Event(first + 1, "norm", f"the gradient norm leapt to {times} at update {worst + 1}{others}")


def spikes(norms: Float[np.ndarray, " updates"]) -> Float[np.ndarray, " updates"]:
    """Every finite norm over its level: the median of the finite norms of the `STRETCH` updates before; else 0.

    The level is a local one: norms that fall a hundredfold while a network learns are no spikes at the start. It takes
    `LEAST` norms to make one.
    """
    finite = pd.Series(norms, dtype=float).where(np.isfinite(norms))
    level = finite.rolling(STRETCH, min_periods=LEAST).median().shift(1)
    return (finite / level.where(level > 0)).fillna(0.0).to_numpy()


def _saturation_rise(probed: Sequence[Probed]) -> Event | None:
    """Units that saturated between the first and a later measurement."""
    taken = [(p.update, share) for p in probed if p.saturation and not math.isnan(share := flat_share(p.saturation))]
    if not taken:
        return None
    (start, before), *later = taken
    risen = next(((update, share) for update, share in later if share - before > RISE), None)
    if risen is None:
        return None
    update, share = risen
    when = f"between updates {start} and {update}" if start else f"by update {update}"
    return Event(update, "saturation", f"saturated units rose from {before:.0%} to {share:.0%} {when}")


def flat_share(saturation: Saturation) -> float:
    """The share of saturated tanh units or dead relu units, also of networks whose gradient goes past them."""
    dead = saturation.mean_share("relu")
    return saturation.mean_share("tanh") if math.isnan(dead) else dead


def _flow_change(probed: Sequence[Probed], setup: Setup) -> Event | None:
    """A gradient at the horizon that was there before the first update, and was lost while the run trained."""
    shares = [(p.update, share) for p in probed if (share := share_left(p, setup.horizon)) is not None]
    if not setup.horizon_given or len(shares) < 2 or not shares[0][1] >= VANISHED > shares[-1][1]:
        return None
    below = takewhile(lambda measured: measured[1] < VANISHED, reversed(shares))
    lost = min(update for update, _ in below)  # from there on it stayed below
    now = f"since update {lost} the gradient {setup.horizon} steps back is below {VANISHED:.0%} of that at the loss"
    (start, before), (_, after) = shares[0], shares[-1]
    when = f"after {start} updates" if start else "before training"
    return Event(lost, "flow", f"{now} ({before:.2g} of it {when}, {after:.1e} at the end)")


def share_left(probed: Probed, horizon: int) -> float | None:
    """phi_horizon / phi_0, or at the largest lag measured; None without a finite flow."""
    flow = probed.flow
    if flow is None or flow.nonfinite or np.isneginf(flow.memory.log_phi[0]):
        return None
    with np.errstate(over="ignore"):
        return float(np.exp(flow.memory.log_ratio(min(horizon, flow.lags))))


def _fold(ratio: float) -> str:
    return f"{ratio:.0f}-fold" if ratio < 1e4 else f"{ratio:.0e}-fold"
