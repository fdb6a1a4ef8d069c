"""What every opponent is: fitted on the training part, it predicts as a network does, and is measured as one."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TypeVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from study.tasks import Batch, Metrics, Split, Task


class Fitted(ABC):
    """A fitted opponent.

    Attributes:
        label: what a reader calls it, with what was chosen on the validation part, e.g. `6-gram`.
        memory: steps before those of a batch that it looks at; they are given where a task carries the state.
        reads_ahead: it looks at later steps of a sequence, as only a bidirectional network does.
    """

    label: str
    memory: int = 0
    reads_ahead: bool = False

    @abstractmethod
    def predict(
        self, batch: Batch, before: Shaped[Tensor, "memory batch *features"]
    ) -> Float[Tensor, "time batch predictions"]:
        """Predict every step in the form of `Loss.predict`: values, or a probability for every class.

        Args:
            batch: its targets must not be looked at.
            before: the latest inputs of the same columns before this batch, at most `memory` steps; none at their
                start.
        """

    def count(self, metrics: Metrics, batch: Batch, before: Tensor) -> None:
        """Add the predictions of one batch to `metrics`."""
        metrics.update(self.predict(batch, before), batch)


F = TypeVar("F", bound=Fitted)


def measure(fitted: Fitted, task: Task, split: Split) -> dict[str, float]:
    """The task's measures of an opponent on a split: the batches, masks and carried columns of a network."""
    batches, metrics = task.batches(split), task.metrics()
    seen: Tensor | None = None
    for batch in batches.epoch(0):
        before = batch.inputs[:0] if seen is None else seen
        fitted.count(metrics, batch, before)
        seen = _latest(torch.cat([before, batch.inputs]), fitted.memory) if batches.stateful else None
    return metrics.compute()


def _latest(inputs: Tensor, steps: int) -> Tensor:
    return inputs[max(0, len(inputs) - steps) :]


def choose(candidates: Iterable[F], task: Task, patience: int | None = None) -> F:
    """The best candidate by the task's primary measure on the validation part; the earlier one of equals.

    Args:
        candidates: simplest first; made one after another, so that a generator may stop early.
        task: which names the measure.
        patience: stop after so many candidates in a row that are no better than the best; None: try all.
    """
    best: tuple[float, F] | None = None
    worse = 0
    for candidate in candidates:
        value = measure(candidate, task, "val")[task.primary]
        cost = math.inf if math.isnan(value) else value if task.direction == "minimize" else -value
        if best is None or cost < best[0]:
            best, worse = (cost, candidate), 0
        else:
            worse += 1
        if patience is not None and worse >= patience:
            break
    if best is None:
        raise ValueError("there is no candidate to choose from")
    return best[1]
