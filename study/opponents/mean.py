"""The mean of the training part, whatever happens."""

import torch
from torch import Tensor

from study.opponents.contract import Fitted
from study.tasks import Batch, Task
from study.tasks.forecasting.family import Forecasting


class Mean(Fitted):
    """The same values at every step."""

    label = "training mean"

    def __init__(self, values: Tensor):
        self._values = values

    def predict(self, batch: Batch, before: Tensor) -> Tensor:
        """See `Fitted`."""
        return self._values.expand(*batch.inputs.shape[:2], -1)


def fit(task: Task) -> Mean:
    """The mean of every target over all steps of the training part."""
    assert isinstance(task, Forecasting)
    batch = task.whole("train")
    targets = batch.targets.flatten(0, 1) if batch.mask is None else batch.targets[batch.mask]
    return Mean(targets.double().mean(0).to(torch.float32))
