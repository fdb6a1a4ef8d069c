"""Linear forecasts by ordinary least squares, in float64, with as many of their columns as a step knows.

The columns of a design stand in an order such that later ones need more of the past. A `Level` is a number of first
columns and the step from which they are known. At every step the largest level that it knows predicts: the first steps
of a split, where a network starts from a zero state, have regressions of their own.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import qr, solve_triangular
from torch import Tensor

from study.opponents.contract import Fitted, choose
from study.tasks import Batch
from study.tasks.forecasting.family import Forecasting

ROWS_A_COLUMN = 5
"""Levels for which there are fewer training steps than this a column are not tried."""
SINGULAR = 1e-10
"""Ratio of the smallest to the largest entry on R's diagonal below which columns are taken to be dependent."""


class Level(NamedTuple):
    """The first `columns` of a design, known from step number `since` on (from 0)."""

    columns: int
    since: int


class Design(ABC):
    """The columns of a linear forecast.

    `groups` of targets have columns of their own: 1 (all targets are predicted from the same columns) or one a target.

    Attributes:
        levels: the smallest first.
    """

    levels: Sequence[Level]

    @abstractmethod
    def columns(self, batch: Batch) -> Float[Tensor, "time batch groups columns"]:
        """All columns at every step, float64; anything finite where they are not known yet."""

    @abstractmethod
    def label(self, level: Level) -> str:
        """What a reader calls the forecast that uses `level` and those before it."""

    def offset(self, batch: Batch) -> Tensor:
        """What is known beforehand (time, batch, targets), standardised: the rest is regressed."""
        return torch.zeros_like(batch.targets)


class LinearForecast(Fitted):
    """y(t) = offset(t) + b_0 + sum_i b_i column_i(t), with the coefficients of the largest level known at t.

    Args:
        design: of the columns.
        coefficients: of every level used, from the first on, each (groups, 1 + columns, targets of a group).
    """

    def __init__(self, design: Design, coefficients: Sequence[Float[Tensor, "groups columns targets"]]):
        self._design, self.coefficients = design, coefficients
        self.label = design.label(design.levels[len(coefficients) - 1])

    def predict(self, batch: Batch, before: Tensor) -> Tensor:
        """See `Fitted`."""
        columns, regression = self._design.columns(batch), torch.zeros_like(batch.targets, dtype=torch.float64)
        for level, coefficients in zip(self._design.levels, self.coefficients, strict=False):
            known = columns[level.since :, ..., : level.columns]
            fitted = torch.einsum("tbgc,gcv->tbgv", known, coefficients[:, 1:]) + coefficients[:, 0]
            regression[level.since :] = fitted.flatten(2)
        return self._design.offset(batch) + regression.to(torch.float32)


def fit_levels(design: Design, task: Forecasting) -> LinearForecast:
    """Fit every level on all steps of the training part that know the largest, and choose how many to use."""
    batch = task.whole("train")
    usable = [level for level in design.levels if _rows(batch, level).sum() >= ROWS_A_COLUMN * (level.columns + 1)]
    usable = usable or [design.levels[0]]
    rows, sizes = _rows(batch, usable[-1]), [level.columns for level in usable]
    x = design.columns(batch)[rows].numpy()
    y = (batch.targets - design.offset(batch))[rows].double().view(len(x), x.shape[1], -1).numpy()
    groups = [nested(x[:, g, : sizes[-1]], y[:, g], sizes) for g in range(x.shape[1])]
    fitted = [torch.from_numpy(np.stack(level)) for level in zip(*groups, strict=True)]

    def candidates() -> Iterator[LinearForecast]:
        return (LinearForecast(design, fitted[: count + 1]) for count in range(len(fitted)))

    return choose(candidates(), task)


def _rows(batch: Batch, level: Level) -> Tensor:
    """The steps (time, batch) that count and know a level."""
    counting = torch.ones(batch.targets.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask
    return counting & (torch.arange(len(counting)) >= level.since)[:, None]


def nested(x: np.ndarray, y: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    """Least squares of y on a constant and the first so many columns of x, for several numbers of columns.

    One QR decomposition serves all: the leading block of R is that of the leading columns. Where they are dependent,
    the solution of least norm.

    Returns:
        (1 + columns, targets) for every size.
    """
    q, r = qr(np.column_stack([np.ones(len(x)), x]), mode="economic")
    z, solutions = q.T @ y, []
    for size in sizes:
        block, known = r[: size + 1, : size + 1], z[: size + 1]
        diagonal = np.abs(np.diag(block))
        independent = len(block) == size + 1 and diagonal.min() > SINGULAR * diagonal.max()
        solutions.append(solve_triangular(block, known) if independent else np.linalg.lstsq(block, known)[0])
    return solutions
