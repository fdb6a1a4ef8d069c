"""What a run reads: its updates, and the steps (characters, words, days) at which losses are taken. No torch here.

Arms that differ in truncation or batch size make different numbers of updates from the same data, so equal updates are
then unequal data, and the other way round. Which of them is equal, if any, is said of every comparison.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from study.schema import Config

ALIKE = 0.02
"""Numbers that differ by no more than this share are equal: the last window of a sequence may be shorter."""


class Reading(NamedTuple):
    """What a run reads; NaN where only the data say, or the clock.

    Attributes:
        updates: steps of the optimizer.
        steps: at which losses were taken, over all sequences, counted again when they are read again.
    """

    updates: float
    steps: float

    def __str__(self) -> str:
        """In words, such as `500 updates, 80,000 steps`."""
        parts = ((self.updates, "updates"), (self.steps, "steps"))
        return ", ".join(f"{value:,.0f} {name}" for value, name in parts if not math.isnan(value))


def planned_reading(config: Config) -> Reading:
    """What a run will read as far as its configuration says; early stopping and divergence make it less."""
    trainer, each = config.trainer, steps_per_update(config)
    if trainer.max_updates is not None:
        return Reading(trainer.max_updates, trainer.max_updates * each)
    if trainer.max_steps is not None:
        return Reading(math.nan if math.isnan(each) else math.ceil(trainer.max_steps / each), trainer.max_steps)
    return Reading(math.nan, math.nan)


def steps_per_update(config: Config) -> float:
    """The mean number of steps of an update; NaN where only the data say how many a window has."""
    task, bptt = config.task, config.bptt
    length, asked = task.sequence_steps(task.model_dump()), task.asked_steps(task.model_dump())
    if length is None or asked is None:
        return math.nan
    if asked == 1:
        return float(task.batch_size)
    updates = bptt.updates_per(length, task.stream)
    # Windows without a step that counts make no update, and how many there are only the data say.
    return task.batch_size * asked / updates if asked == length or updates == 1 else math.nan


def mean_reading(readings: Sequence[Reading]) -> Reading:
    """The mean of several runs."""
    return Reading(*(math.fsum(values) / len(values) for values in zip(*readings, strict=True)))


def compare_readings(arms: Mapping[str, Reading]) -> str:
    """A sentence on what arms of one task read: what is equal, or that nothing is; empty where both are equal.

    A number that is not known of every arm says nothing of all: it counts as not known.

    Args:
        arms: by name.
    """
    updates, steps = (_known({arm: float(read[i]) for arm, read in arms.items()}) for i in range(2))
    same_updates, same_steps = _alike(updates), _alike(steps)
    if (same_updates and same_steps) or len(arms) < 2:
        return ""
    if same_steps and steps:
        return f"Equal data: every arm reads about {max(steps.values()):,.0f} steps, in {_span(updates, 'updates')}."
    if same_updates and updates:
        return f"Equal updates ({max(updates.values()):,.0f}), unequal data: {_span(steps, 'steps')}."
    if not steps or not updates:
        unknown = "data" if updates else "updates"
        return f"UNEQUAL: {_span(updates or steps, 'updates' if updates else 'steps')}; {unknown} are not known."
    return f"UNEQUAL in updates and in data: {_span(updates, 'updates')}; {_span(steps, 'steps')}."


def _known(values: Mapping[str, float]) -> Mapping[str, float]:
    return {} if any(map(math.isnan, values.values())) else values


def _alike(values: Mapping[str, float]) -> bool:
    return not values or max(values.values()) <= (1 + ALIKE) * min(values.values())


def _span(values: Mapping[str, float], unit: str) -> str:
    """The least and the most of something, with the arms they are of."""
    least, most = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    return f"{values[least]:,.0f} ({least}) to {values[most]:,.0f} {unit} ({most})"
