"""Loss-independent measures of the three families, by torchmetrics; padding never counts."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanMetric, MeanSquaredError
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from study.tasks.contract import Batch, Measures


def _real(values: Tensor, batch: Batch) -> Tensor:
    """The real steps only: (steps, ...)."""
    return values.flatten(0, 1) if batch.mask is None else values[batch.mask]


class ForecastMeasures(Measures):
    """rmse and mae in the target's own unit; skill = 1 - MSE / MSE of persistence (0: no better, 1: perfect).

    Args:
        scale: the target's unit in units of the standardised target.
        persistence: the naive predictions of a batch.
    """

    def __init__(self, scale: float, persistence: Callable[[Batch], Tensor]):
        self._scale, self._persistence = scale, persistence
        self._mse, self._mae, self._naive = MeanSquaredError(), MeanAbsoluteError(), MeanSquaredError()

    def update(self, predictions: Float[Tensor, "time batch values"], batch: Batch) -> None:
        """See `Measures`."""
        targets = _real(batch.targets, batch)
        self._mse.update(_real(predictions, batch), targets)
        self._mae.update(_real(predictions, batch), targets)
        self._naive.update(_real(self._persistence(batch), batch), targets)

    def compute(self) -> dict[str, float]:
        """Rmse, mae, skill."""
        mse = float(self._mse.compute())
        return {
            "rmse": math.sqrt(mse) * self._scale,
            "mae": float(self._mae.compute()) * self._scale,
            "skill": 1 - mse / float(self._naive.compute()),
        }


class LanguageMeasures(Measures):
    """nats = mean of -log p(next token); perplexity = exp nats; bpc = nats / ln 2, bits a character."""

    def __init__(self) -> None:
        self._nats = MeanMetric(nan_strategy="disable")

    def update(self, predictions: Float[Tensor, "time batch classes"], batch: Batch) -> None:
        """See `Measures`."""
        self._nats.update(_real(_surprise(predictions, batch.targets), batch))

    def compute(self) -> dict[str, float]:
        """Nats, perplexity, bpc."""
        nats = float(self._nats.compute())
        return {"nats": nats, "perplexity": float(torch.tensor(nats).exp()), "bpc": nats / math.log(2)}


class LabellingMeasures(Measures):
    """accuracy over steps; macro_f1: the mean over classes of F1; nats a step."""

    def __init__(self, classes: int):
        self._accuracy = MulticlassAccuracy(classes, average="micro", validate_args=False)
        self._f1 = MulticlassF1Score(classes, average="macro", validate_args=False)
        self._nats = MeanMetric(nan_strategy="disable")

    def update(self, predictions: Float[Tensor, "time batch classes"], batch: Batch) -> None:
        """See `Measures`."""
        guesses, targets = _real(predictions.argmax(-1), batch), _real(batch.targets, batch)
        self._accuracy.update(guesses, targets)
        self._f1.update(guesses, targets)
        self._nats.update(_real(_surprise(predictions, batch.targets), batch))

    def compute(self) -> dict[str, float]:
        """Accuracy, macro_f1, nats."""
        return {
            "accuracy": float(self._accuracy.compute()),
            "macro_f1": float(self._f1.compute()),
            "nats": float(self._nats.compute()),
        }


def _surprise(probabilities: Tensor, classes: Tensor) -> Float[Tensor, "time batch"]:
    """-log p of the class that came, never infinite: p is held above the smallest float32."""
    chosen = probabilities.gather(-1, classes[..., None])[..., 0]
    return -chosen.clamp(min=torch.finfo(torch.float32).tiny).log()
