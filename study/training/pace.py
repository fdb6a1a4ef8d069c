"""The budget and the rhythm of validation, counted in updates. Plain torch, no Lightning."""

import math
from typing import NamedTuple

from study.learning.bptt import expected_updates
from study.schema.bptt import BPTTConfig
from study.schema.run import TrainerConfig
from study.tasks import Batches

CHUNK = 32
"""Updates a Lightning step, about: enough to share its cost of some 1 ms, few enough to see a divergence soon."""
UNKNOWN = 10_000
"""Updates that a budget in seconds is taken to be worth, by progress bars and charts."""


class Pace(NamedTuple):
    """How many updates a run makes, how many of them a Lightning step, and how often it is validated.

    Attributes:
        budget: updates to make; None where the budget is one in epochs or seconds.
        updates: the budget, or what it is expected to be worth in updates.
        chunk: batches a Lightning step.
        interval: Lightning steps between validations.
        steps: at which the losses of an update are taken, in the mean over an epoch.
    """

    budget: int | None
    updates: int
    chunk: int
    interval: int
    steps: float


def plan_pace(trainer: TrainerConfig, bptt: BPTTConfig, batches: Batches) -> Pace:
    """Count the updates of one epoch of training batches, and divide; validation comes after whole Lightning steps.

    A budget in steps becomes one in updates by the share of an epoch that it is, so that every epoch counts alike.
    Where the number of updates is random, it is taken to be its mean.
    """
    counted = [(expected_updates(bptt, batch, batches.stream), batch.steps) for batch in batches.outlines()]
    made, steps = (sum(column) for column in zip(*counted, strict=True))
    epoch = max(1, round(made))
    budget = trainer.max_updates
    if trainer.max_steps is not None:
        budget = math.ceil(trainer.max_steps * epoch / steps)
    every = max(1, round((trainer.validate_every or epoch) * len(batches) / epoch))  # in batches
    interval = math.ceil(every / max(1, CHUNK * len(batches) // epoch))
    updates = budget or (epoch * trainer.max_epochs if trainer.max_epochs else UNKNOWN)
    return Pace(budget, updates, math.ceil(every / interval), interval, steps / epoch)
