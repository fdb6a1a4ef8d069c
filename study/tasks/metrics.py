"""Loss-independent measures of the three families, by torchmetrics; steps that do not count are left out."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanMetric, MeanSquaredError
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from study.tasks.contract import Batch, Metrics


def _counting(values: Tensor, batch: Batch) -> Tensor:
    """The steps that count: (steps, ...)."""
    return values.flatten(0, 1) if batch.mask is None else values[batch.mask]


class ForecastMetrics(Metrics):
    """rmse and mae in the target's own unit; skill = 1 - MSE / MSE of persistence (0: no better, 1: perfect).

    mase: the mean absolute error over that of the seasonal naive forecast on the training part (Hyndman & Koehler
    2006), averaged over targets.

    Args:
        scale: for every target, the size of one standard deviation in the unit in which errors are given.
        persistence: predictions of persistence for a batch, standardised.
        seasonal: for every target, the mean absolute error of the seasonal naive forecast, standardised; None: there
            is no season.
    """

    def __init__(
        self,
        scale: Float[Tensor, " values"],
        persistence: Callable[[Batch], Tensor],
        seasonal: Float[Tensor, " values"] | None = None,
    ):
        self._scale, self._persistence, self._seasonal = scale, persistence, seasonal
        self._mse, self._mae, self._baseline = MeanSquaredError(), MeanAbsoluteError(), MeanSquaredError()
        self._mase = MeanAbsoluteError()

    def update(self, predictions: Float[Tensor, "time batch values"], batch: Batch) -> None:
        """See `Metrics`."""
        targets, guesses = _counting(batch.targets, batch), _counting(predictions, batch)
        repeated = _counting(self._persistence(batch), batch)
        self._mse.update(guesses * self._scale, targets * self._scale)
        self._mae.update(guesses * self._scale, targets * self._scale)
        self._baseline.update(repeated * self._scale, targets * self._scale)
        if self._seasonal is not None:
            self._mase.update(guesses / self._seasonal, targets / self._seasonal)

    def compute(self) -> dict[str, float]:
        """Rmse, mae, skill, and mase if there is a season."""
        measures = {
            "rmse": math.sqrt(self._mse.compute()),
            "mae": float(self._mae.compute()),
            "skill": float(1 - self._mse.compute() / self._baseline.compute()),
        }
        return measures if self._seasonal is None else measures | {"mase": float(self._mase.compute())}


class LanguageMetrics(Metrics):
    """nats = mean of -log p(next token); perplexity = exp nats; bpc = nats / ln 2, bits a character.

    Args:
        characters: whether tokens are characters; otherwise there is no bpc.
    """

    def __init__(self, characters: bool) -> None:
        self._characters = characters
        self._nats = MeanMetric(nan_strategy="disable")

    def update(self, predictions: Float[Tensor, "time batch classes"], batch: Batch) -> None:
        """See `Metrics`."""
        self.update_chosen(_chosen(predictions, batch.targets), batch)

    def update_chosen(self, chosen: Float[Tensor, "time batch"], batch: Batch) -> None:
        """Count one batch by the probability of the token that came alone, where that of all others costs too much."""
        self._nats.update(_counting(_surprise(chosen), batch))

    def compute(self) -> dict[str, float]:
        """Nats, perplexity, bpc."""
        nats = float(self._nats.compute())
        measures = {"nats": nats, "perplexity": float(torch.tensor(nats).exp())}
        return measures | ({"bpc": nats / math.log(2)} if self._characters else {})


class LabellingMetrics(Metrics):
    """accuracy over steps; macro_f1: the mean over classes of F1; nats a step.

    Args:
        classes: that a network can name.
        unseen: further classes, which only appear after the training part: numbers from `classes` on. Their steps
            count as wrong in accuracy and macro_f1, and are left out of nats.
    """

    def __init__(self, classes: int, unseen: int = 0):
        self._classes = classes
        self._accuracy = MulticlassAccuracy(classes + unseen, average="micro", validate_args=False)
        self._f1 = MulticlassF1Score(classes + unseen, average="macro", validate_args=False)
        self._nats = MeanMetric(nan_strategy="disable")

    def update(self, predictions: Float[Tensor, "time batch classes"], batch: Batch) -> None:
        """See `Metrics`."""
        guesses, targets = _counting(predictions.argmax(-1), batch), _counting(batch.targets, batch)
        self._accuracy.update(guesses, targets)
        self._f1.update(guesses, targets)
        known = self.nameable(batch)
        self._nats.update(_counting(_surprise(_chosen(predictions, known.targets)), known))

    def nameable(self, batch: Batch) -> Batch:
        """See `Metrics`."""
        unseen = batch.targets >= self._classes
        if not unseen.any():
            return batch
        mask = ~unseen if batch.mask is None else batch.mask & ~unseen
        return Batch(batch.inputs, batch.targets.masked_fill(unseen, 0), mask)

    def compute(self) -> dict[str, float]:
        """Accuracy, macro_f1, nats."""
        return {
            "accuracy": float(self._accuracy.compute()),
            "macro_f1": float(self._f1.compute()),
            "nats": float(self._nats.compute()),
        }


def _chosen(probabilities: Tensor, classes: Tensor) -> Float[Tensor, "time batch"]:
    """The probability of the true class."""
    return probabilities.gather(-1, classes[..., None])[..., 0]


def _surprise(chosen: Tensor) -> Float[Tensor, "time batch"]:
    """-log p, never infinite: p is kept above the smallest normal float32."""
    return -chosen.clamp(min=torch.finfo(torch.float32).tiny).log()
