"""Evaluation on a split: the loss and the task's metrics, with the state carried as in training."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from study.learning.losses import Loss
from study.models import RecurrentModel, State
from study.tasks import Batch, Metrics

See = Callable[[Tensor, Batch], None]
"""Takes the predictions for a batch, (time, batch, predictions), and the batch, both on the CPU, in order."""


class Evaluation:
    """Accumulates loss and metrics batch by batch.

    Args:
        model: in the mode the caller wants: without dropout after `model.eval()`.
        loss: summed over batches, then divided once, so that batches of any size weigh by their steps.
        metrics: fresh ones.
        stateful: see `Batches`: the state of each batch is the start of the next.
        see: is shown what the metrics get; None: nobody looks.
    """

    def __init__(self, model: RecurrentModel, loss: Loss, metrics: Metrics, stateful: bool, see: See | None = None):
        self._model, self._loss, self._metrics, self._stateful = model, loss, metrics, stateful
        self._see = see
        self._state: State | None = None
        self._total, self._normaliser = torch.zeros(()), torch.zeros(())
        self._own: dict[str, Tensor] = {}
        self._steps = 0

    @torch.inference_mode()
    def add(self, batches: Iterable[Batch]) -> None:
        """Add batches, in order."""
        for batch in batches:
            outputs, state = self._model(batch.inputs, self._state, batch.mask)
            self._state = state if self._stateful else None
            self._count(outputs.cpu(), batch.to("cpu"))

    def _count(self, outputs: Tensor, batch: Batch) -> None:
        lossy = self._metrics.nameable(batch)
        self._total = self._total + self._loss.total(outputs, lossy.targets, lossy.mask)
        self._normaliser = self._normaliser + self._loss.normaliser(lossy.targets.shape[1], lossy.steps)
        for name, total in self._loss.measures(outputs, lossy.targets, lossy.mask).items():
            self._own[name] = self._own.get(name, torch.zeros(())) + total
        self._steps += lossy.steps
        predictions = self._loss.predict(outputs, batch.mask)
        self._metrics.update(predictions, batch)
        if self._see is not None:
            self._see(predictions, batch)

    def result(self) -> dict[str, float]:
        """`loss`, the loss's own measures, and every metric of the task by its name."""
        own = {name: float(total / self._steps) for name, total in self._own.items()}
        return {"loss": float(self._total / self._normaliser)} | own | self._metrics.compute()
