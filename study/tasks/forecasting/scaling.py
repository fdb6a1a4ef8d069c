"""Features and targets, standardised by the training part, and back in their own units."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from study.models import Inputs
from study.tasks.preprocessing import Columns, Preprocessing, rmse


class Target(NamedTuple):
    """What is predicted.

    Attributes:
        ahead: steps between the inputs and the last step that the target depends on.
        persists: the feature that persistence repeats; None: it predicts 0 in the target's own unit.
        series: the column whose future this is: its seasonal changes scale MASE, and its standard deviation is the
            unit of errors where there are several targets.
        returns: the feature whose root mean square over the steps ahead this is the logarithm of; None: it is no
            volatility.
    """

    ahead: int
    persists: str | None
    series: str
    returns: str | None = None


class Scaling(Preprocessing):
    """What was learnt of the columns.

    Args:
        features: their names, in the order in which they enter.
        known: the targets by name, in the order in which they are predicted.
        mean: of every column, on the training part.
        std: the same; a constant column keeps its unit.
    """

    def __init__(self, features: Sequence[str], known: Mapping[str, Target], mean: pd.Series, std: pd.Series):
        self.features, self.known, self.mean, self.std = list(features), dict(known), mean, std
        self.inputs, self.targets = Inputs(len(self.features), tokens=False), len(self.known)

    @property
    def units(self) -> Float[Tensor, " targets"]:  # type: ignore[override]
        """See `Task`; float64."""
        return torch.tensor(self.std[list(self.known)].to_numpy(float))

    def as_dict(self) -> dict[str, Any]:
        """See `Preprocessing`."""
        known = {name: target._asdict() for name, target in self.known.items()}
        return {"features": self.features, "known": known, "mean": self.mean.to_dict(), "std": self.std.to_dict()}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Scaling":
        """See `Preprocessing`."""
        known = {name: Target(**target) for name, target in kept["known"].items()}
        return cls(kept["features"], known, pd.Series(kept["mean"], dtype=float), pd.Series(kept["std"], dtype=float))

    def tensors(self, frame: pd.DataFrame) -> tuple[Float[Tensor, "steps features"], Float[Tensor, "steps targets"]]:
        """Features and targets of a table of them, standardised."""
        scaled = (frame - self.mean) / self.std
        return _tensor(scaled[self.features]), _tensor(scaled[list(self.known)])

    def answers(self, predictions: Tensor, inputs: Tensor, targets: Tensor) -> Columns:
        """`true`, NaN where it is not known, and `predicted`, (steps, targets), in the targets' own units.

        Of a target that is the change of a feature, its later value.
        """
        before = np.zeros(targets.shape)
        for place, target in enumerate(self.known.values()):
            if target.persists is None and target.series in self.features:
                before[:, place] = self._own(inputs, target.series)
        std, mean = (part[list(self.known)].to_numpy(float) for part in (self.std, self.mean))
        both = {"true": targets, "predicted": predictions}
        return {key: values.numpy() * std + mean + before for key, values in both.items()}

    def table(self, names: Columns, answers: Columns) -> pd.DataFrame:
        """One row a step and target, all steps of the first target first."""
        parts = [
            pd.DataFrame({**names, "target": name, **{key: values[:, place] for key, values in answers.items()}})
            for place, name in enumerate(self.known)
        ]
        return pd.concat(parts, ignore_index=True)

    def _own(self, inputs: Tensor, feature: str) -> np.ndarray:
        """A feature in its own unit."""
        return inputs[:, self.features.index(feature)].numpy() * self.std[feature] + self.mean[feature]

    def measures(self, table: pd.DataFrame) -> dict[str, float]:
        """`rmse` where the truth is known; with several targets, that of each."""
        known = table.dropna(subset="true")
        if known.empty:
            return {}
        if self.targets == 1:
            return {"rmse": rmse(known)}
        return {f"rmse {name}": rmse(mine) for name, mine in known.groupby("target", sort=False, observed=True)}


def _tensor(frame: pd.DataFrame) -> Tensor:
    return torch.from_numpy(frame.to_numpy(np.float32, copy=True))
