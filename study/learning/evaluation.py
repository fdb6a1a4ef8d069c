"""A model on a split: the loss and the task's measures, with the same carry as in training."""

from collections.abc import Iterable

import torch
from torch import Tensor

from study.learning.losses import Loss
from study.models import RecurrentModel, State
from study.tasks import Batch, Metrics


class Evaluation:
    """Gathers loss and measures batch by batch.

    Args:
        stateful: as of `Batches`: the state goes from each batch to the next.
    """

    def __init__(self, model: RecurrentModel, loss: Loss, metrics: Metrics, stateful: bool):
        self._model, self._loss, self._metrics, self._stateful = model, loss, metrics, stateful
        self._state: State | None = None
        self._total, self._normaliser = torch.zeros(()), torch.zeros(())

    @torch.no_grad()
    def add(self, batches: Iterable[Batch]) -> None:
        """Count more batches."""
        for batch in batches:
            outputs, state = self._model(batch.inputs, self._state, batch.mask)
            self._state = state if self._stateful else None
            self._count(outputs.cpu(), _on_cpu(batch))

    def _count(self, outputs: Tensor, batch: Batch) -> None:
        self._total = self._total + self._loss.total(outputs, batch.targets, batch.mask)
        self._normaliser = self._normaliser + self._loss.normaliser(batch.targets.shape[1], batch.steps)
        self._metrics.update(self._loss.predict(outputs), batch)

    def result(self) -> dict[str, float]:
        """The loss under `loss`, and every measure by its name."""
        return {"loss": float(self._total / self._normaliser)} | self._metrics.compute()


def _on_cpu(batch: Batch) -> Batch:
    """Where measures and baselines are worked out, wherever the model is."""
    return Batch(batch.inputs.cpu(), batch.targets.cpu(), None if batch.mask is None else batch.mask.cpu())
