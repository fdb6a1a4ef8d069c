"""What a task learns from its training part beside a network: how data become inputs, and predictions become answers.

It is kept with the weights of a run, as plain values, so that a trained network works where the training data are not.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from study.models import Inputs

Columns = dict[str, Any]
"""One value a step, by the name of the column."""
Names = Callable[[Int[np.ndarray, " steps"], Int[np.ndarray, " steps"]], Columns]
"""From the numbers of sequences, and of steps in them, to what a person calls these steps."""


class Preprocessing(ABC):
    """How data become inputs, and predictions answers.

    Attributes:
        inputs: what enters a network at every step.
        targets: values or classes a step.
        units: see `Task`.
        tokens_a_step: how many tokens enter at every step, where tokens do.
    """

    inputs: Inputs
    targets: int
    tokens_a_step: int = 1
    units: Float[Tensor, " targets"] | None = None

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""

    @classmethod
    @abstractmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Preprocessing":
        """Restore from a dict returned by `as_dict`."""

    @abstractmethod
    def answers(
        self,
        predictions: Float[Tensor, "steps predictions"],
        inputs: Shaped[Tensor, "steps *features"],
        targets: Shaped[Tensor, "steps *values"],
    ) -> Columns:
        """What is kept of the predictions at some steps: arrays of numbers, by name."""

    @abstractmethod
    def table(self, names: Columns, answers: Columns) -> pd.DataFrame:
        """Answers in words and in the data's own units, beside the names of their steps."""

    def text(self, numbers: Sequence[int]) -> str | None:
        """What some tokens read like; None where tokens are no text."""
        return None

    @abstractmethod
    def measures(self, table: pd.DataFrame) -> dict[str, float]:
        """Measures of a table of predictions; none where it does not have the truth."""


class Drawn(Preprocessing):
    """Of a task that draws its sequences: nothing is learnt from them.

    Args:
        inputs: see `Preprocessing`.
        targets: see `Preprocessing`.
    """

    def __init__(self, inputs: Inputs, targets: int):
        self.inputs, self.targets = inputs, targets

    def as_dict(self) -> dict[str, Any]:
        """The sizes."""
        return {"inputs": list(self.inputs), "targets": self.targets}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Drawn":
        """See `Preprocessing`."""
        return cls(Inputs(*kept["inputs"]), kept["targets"])

    def answers(self, predictions: Tensor, inputs: Tensor, targets: Tensor) -> Columns:
        """`true` and `predicted`, values or classes; of classes the log-probability of the true one too, in nats."""
        if targets.is_floating_point():
            return {"true": targets[:, 0].numpy(), "predicted": predictions[:, 0].numpy()}
        chosen = log_probability(predictions, targets)
        return {"true": targets.numpy(), "predicted": predictions.argmax(-1).numpy(), "log_probability": chosen}

    def table(self, names: Columns, answers: Columns) -> pd.DataFrame:
        """As they are."""
        return pd.DataFrame({**names, **answers})

    def measures(self, table: pd.DataFrame) -> dict[str, float]:
        """Of values the root of the mean squared error, of classes the share that is right."""
        if "log_probability" not in table:
            return {"rmse": rmse(table)}
        right = float((table["true"] == table["predicted"]).mean())
        return {"accuracy": right, "nats": -float(table["log_probability"].mean())}


def log_probability(
    predictions: Float[Tensor, "steps classes"], targets: Int[Tensor, " steps"]
) -> Float[np.ndarray, " steps"]:
    """Of the true class, in nats; never infinite: it is that of the smallest normal float32 at least."""
    chosen = predictions.gather(-1, targets[:, None])[:, 0].numpy()
    return np.log(np.maximum(chosen, np.finfo(np.float32).tiny))


def rmse(table: pd.DataFrame) -> float:
    """The root of the mean squared error where the truth is known."""
    return float(np.sqrt(((table["predicted"].astype(float) - table["true"].astype(float)) ** 2).mean()))
