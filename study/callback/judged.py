"""The diagnosis of somebody else's training, as far as its updates and its flow carry it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from study.analysis.diagnosis.facts import Course, Facts, Probed, Setup
from study.analysis.diagnosis.judge import Diagnosis, diagnose
from study.columns import APPLIED, LOSS, RATE, TOTAL

LIGHTNING = {"clip=norm clip.threshold=": "gradient_clip_val=", "optimizer.lr=": "lr="}
"""Changes that would test a cause, in the words of our command line and of a Lightning script."""


def diagnose_updates(
    rows: Float[np.ndarray, "updates columns"],
    finite: bool,
    probed: Sequence[Probed],
    horizon: int | None,
    known: bool,
    rate: float,
    clipped: bool,
) -> Diagnosis:
    """Judge a training without a task: what was learnt is not known, and where nobody states a horizon nor is that.

    Args:
        rows: of the history.
        finite: whether the weights are so at the end.
        probed: the flow, oldest first.
        horizon: see `GradientHistory`.
        known: whether it is certain.
        rate: the learning rate at the start.
        clipped: whether gradients are clipped.
    """
    diverged = divergence(rows, finite)
    rows = rows[:diverged]
    measured = [one.flow.lags for one in probed if one.flow is not None]
    setup = Setup(
        horizon=max([1, *measured]) if horizon is None else horizon,
        horizon_known=known,
        rate=rate,
        clipped=clipped,
        gain=None,
        horizon_given=horizon is not None,
    )
    course = Course(rows[:, LOSS], rows[:, TOTAL], rows[:, APPLIED], diverged, rates=rows[:, RATE])
    found = diagnose(Facts(setup, course, probed))
    change = found.cause.change
    for ours, theirs in LIGHTNING.items():
        change = change.replace(ours, theirs)
    return replace(found, cause=found.cause._replace(change=change))


def divergence(rows: Float[np.ndarray, "updates columns"], finite: bool) -> int | None:
    """The update (from 1) from which on nothing is finite, of a training that ends so; None of one that does not.

    A loss or gradient that is not finite on the way is no divergence where training went on from it: a loss scaler
    looks for its scale so, and skips those steps.
    """
    if finite and np.isfinite(rows[-1, LOSS]):
        return None
    good = np.flatnonzero(np.isfinite(rows[:, [LOSS, TOTAL]]).all(1))
    first = int(good[-1]) + 1 if len(good) else 0
    return min(first, len(rows) - 1) + 1
