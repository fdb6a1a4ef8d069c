"""What a clip policy would have done to every update of a finished run, from the norms in its history alone.

A replay is exact up to the first update at which the policy applies another gradient than the run did, that update
included: until then a run under the policy would have made the same updates, bit for bit. From there on it would have
been another run; what is counted then is what the policy does to the norms of this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float

from study.analysis.diagnosis.clipping import clipping
from study.analysis.diagnosis.facts import Course
from study.columns import FIXED, LIMIT, SHARE, acted, column, scaled
from study.learning.clipping import build
from study.learning.clipping.contract import NormClip
from study.schema.clip import ClipConfig

CLOSE = 1e-6
"""Relative distance to a limit within which a norm may have been on its other side: a history keeps float32."""
QUARTERS = 4
"""Parts of a run for which it is said how often a policy acts."""


class Past(NamedTuple):
    """The updates of a run, as it recorded them.

    Attributes:
        course: losses, norms and what was applied.
        parameters: the norm of every parameter's gradient before clipping.
        of_the_flow: the run's own policy acts on the way back, and no norm without it exists where it acted.
    """

    course: Course
    parameters: Float[np.ndarray, "updates parameters"]
    of_the_flow: bool = False

    @classmethod
    def of(cls, table: pd.DataFrame, of_the_flow: bool = False) -> "Past":
        """Read a run's history: the columns of `gradients.parquet`."""
        names = [name for name in map(str, table) if name.startswith(column("")) and name not in FIXED]
        loss, _, total, applied = (table[name].to_numpy(np.float32) for name in FIXED)
        share = table[SHARE].to_numpy(np.float32) if SHARE in table else None
        return cls(Course(loss, total, applied, share=share), table[names].to_numpy(np.float32), of_the_flow)

    @property
    def finite(self) -> Float[np.ndarray, " finite"]:
        """The norms of the whole gradient that are finite."""
        return self.course.norms[np.isfinite(self.course.norms)]

    @property
    def acted(self) -> Float[np.ndarray, " updates"]:
        """How much of every gradient the run's own policy clipped, see `study.training.history.acted`."""
        return acted(self.course.norms, self.course.applied, self.course.share)

    @property
    def untouched(self) -> Bool[np.ndarray, " updates"]:
        """The updates that the run's own policy left as they were."""
        return self.acted == 0


@dataclass(frozen=True)
class Replay:
    """A policy on the norms of a run.

    Attributes:
        clips: whether it can change a gradient at all.
        factors: what every parameter's gradient would have been multiplied with.
        course: the losses of the run, its norms, and what would have been applied.
        limit: the norm limit in force; NaN where there is none, or one for every parameter.
        close: updates with a norm too close to a limit to tell on which side it was.
    """

    clips: bool
    factors: Float[np.ndarray, "updates parameters"]
    course: Course
    limit: Float[np.ndarray, " updates"]
    close: Bool[np.ndarray, " updates"]
    found: Float[np.ndarray, " updates"] = field(init=False)
    """How much of every gradient it clips, see `acted`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "found", acted(self.course.norms, self.course.applied, self.course.share))


def askable(config: ClipConfig) -> NormClip | None:
    """The policy, new; None if it looks at more than norms of parameters, which is not in a history."""
    policy = build(config)
    return policy if isinstance(policy, NormClip) else None


def replay(config: ClipConfig, past: Past) -> Replay | None:
    """Give a policy the norms of one update after another, as training does; None: it cannot be asked."""
    policy, tried = askable(config), askable(config)
    if policy is None or tried is None:
        return None
    norms = torch.tensor(past.parameters, dtype=torch.float64)
    totals = [torch.linalg.vector_norm(each) for each in norms]  # one by one, as in training: the same bits
    scales, nearly, left, limits, shares = [], [], [], [], []
    for each, total in zip(norms, totals, strict=True):
        tried.load_state_dict(policy.state_dict())
        scale, records = policy.decide(each, total)
        nearly.append(tried.decide(each * (1 + CLOSE), total * (1 + CLOSE)).scale.expand_as(each))
        scales.append(scale.expand_as(each))
        left.append(policy.left(each, total, scale))
        limits.append(records.get(LIMIT, total.new_full((), policy.norm_limit or np.nan)))
        shares.append(records.get(SHARE, total))
    share = _numbers(shares) if SHARE in policy.records else None
    course = Course(past.course.losses, _numbers(totals), _numbers(left), share=share)
    return Replay(policy.clips, _numbers(scales), course, _numbers(limits), _close(scales, nearly))


def _close(scales: Sequence[torch.Tensor], nearly: Sequence[torch.Tensor]) -> Bool[np.ndarray, " updates"]:
    """Where a norm a little larger would be clipped and this one is not, or is cut by next to nothing."""
    one, larger = torch.stack([*scales]), torch.stack([*nearly])
    below, above = (one == 1) & (larger < 1), (one < 1) & (one > 1 - CLOSE)
    close: np.ndarray = (below | above).any(1).numpy()
    return close


def _numbers(values: Sequence[torch.Tensor]) -> np.ndarray:
    """As a history keeps them."""
    return torch.stack([*values]).float().numpy()


class Deeds(NamedTuple):
    """What a run did to its gradients.

    Attributes:
        factors: what every parameter's gradient was multiplied with.
        known: updates of which that is known.
        proven: updates at which its own policy, replayed, applies what the run recorded; None: it cannot be asked.
    """

    factors: Float[np.ndarray, "updates parameters"]
    known: Bool[np.ndarray, " updates"]
    proven: Bool[np.ndarray, " updates"] | None


def deeds(past: Past, own: Replay | None) -> Deeds:
    """What a run did, from its own policy replayed, where that gives the record; else only that it did nothing."""
    factors = np.ones_like(past.parameters)
    if own is None:
        return Deeds(factors, past.untouched, None)
    with np.errstate(invalid="ignore"):  # of infinities, which equal each other
        proven = np.isclose(own.course.applied, past.course.applied, rtol=CLOSE, atol=0, equal_nan=True)
    return Deeds(np.where(proven[:, None], own.factors, factors), proven | past.untouched, proven)


def first_difference(past: Past, did: Deeds, replayed: Replay) -> int | None:
    """The first update, from 1, at which a policy applies another gradient than the run did; None: there is none.

    Where it is not known what the run applied, that counts as another one. Two that are not finite count as the same: a
    run ends there under either.
    """
    over = ~np.isfinite(replayed.course.applied) & ~np.isfinite(past.course.applied)
    same = (replayed.factors == did.factors) | (np.isnan(replayed.factors) & np.isnan(did.factors))
    differs = (~did.known | (~same & (past.parameters != 0)).any(1)) & ~over
    return int(differs.argmax()) + 1 if differs.any() else None


def summary(past: Past, did: Deeds, replayed: Replay) -> dict[str, object]:
    """A policy on a run in numbers, by name; NaN where there is none.

    `role` (by the rule of the diagnosis), `acted` (share of the updates), `parts` (share of what it looks at, of a
    policy that looks at parts by themselves), `first_difference` (the update), `updates` (all), `exact` (those up to
    there), `acted_exact` (share of these), `first` and `last` update it acts in, `quarter_1`..., `median_scale` and
    `smallest_scale` where it acts, `effective_step` (the mean of applied over total), `not_finite` (updates with such a
    norm), `dropped` (of these, set to 0), `too_close` (to a limit to tell).
    """
    course, found = replayed.course, replayed.found
    hit, scale = found > 0, scaled(course.norms, course.applied)
    difference = first_difference(past, did, replayed)
    exact = len(found) if difference is None else difference - past.of_the_flow
    where, finite = np.flatnonzero(hit) + 1, np.isfinite(course.norms)
    quarters = np.array_split(found, QUARTERS)
    return {
        "role": clipping(course, replayed.clips)[0],
        "acted": share_acted(found),
        "parts": np.nan if course.share is None else _mean(found),
        "first_difference": difference or np.nan,
        "updates": len(found),
        "exact": exact,
        "acted_exact": share_acted(found[:exact]),
        "first": int(where[0]) if len(where) else np.nan,
        "last": int(where[-1]) if len(where) else np.nan,
        **{f"quarter_{number}": share_acted(part) for number, part in enumerate(quarters, 1)},
        "median_scale": float(np.median(scale[hit])) if hit.any() else np.nan,
        "smallest_scale": float(scale[hit].min()) if hit.any() else np.nan,
        "effective_step": _mean(scale[finite | (course.applied == 0)]),
        "not_finite": int((~finite).sum()),
        "dropped": int((~finite & (course.applied == 0)).sum()),
        "too_close": int(replayed.close.sum()),
    }


def share_acted(found: Float[np.ndarray, " updates"]) -> float:
    """The share of updates in which a policy acted, of those of which that is known; NaN without one."""
    counted = found[~np.isnan(found)]
    return _mean(counted > 0)


def _mean(values: np.ndarray) -> float:
    """The mean of all that are no NaN; NaN without one."""
    counted = values[~np.isnan(values)] if values.dtype != bool else values
    return float(counted.mean(dtype=np.float64)) if len(counted) else np.nan
