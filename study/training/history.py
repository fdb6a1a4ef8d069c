"""The complete history of a run: one row an update, without a device sync and without a write while it trains.

An update is kept as the device tensors it made; `flush` turns them into numbers, a block at a time.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from study.learning.bptt import Update

FIXED = ("loss", "lr", "grad_norm/total", "grad_norm/applied")
LOSS, RATE, TOTAL, APPLIED = 0, 1, 2, 3

CHARTED = 6
"""Parameters with a chart of their own: with some 34 other keys a run stays within the 40 that MLflow's pages take."""
SHARED = 12
"""Probes and charted parameters together: where more probes measure, fewer parameters get a chart."""

PENALTY = "penalty"
"""The column of what a regularizer adds to the loss, the last one; there is none without a regularizer."""


def column(parameter: str) -> str:
    """The column of a parameter's gradient norm."""
    return f"grad_norm/{parameter}"


class History:
    """Loss, learning rate, gradient norms (total before clipping, as applied, per parameter) of every update.

    Args:
        parameters: names of the trainable parameters, in the order of `Clipped.parameters`.
        recurrent: those of them that carry the state from step to step: they get a chart before others do.
        divergence: a loss above this multiple of the first one's size (of 1, if that is less) counts as diverged;
            None: only a loss or gradient that is not finite.
        probes: how many measure in the same run.
        penalised: a regularizer adds a penalty to the loss.

    Attributes:
        columns: names of the columns of every row.
        charted: those of parameters that get a chart of their own.
        diverged: number of the update (from 1) at which the run diverged, or None. Later rows are not kept: they are
            made of NaN.
    """

    def __init__(
        self,
        parameters: Sequence[str],
        recurrent: Collection[str] = (),
        divergence: float | None = None,
        probes: int = 0,
        penalised: bool = False,
    ):
        self.columns = (*FIXED, *map(column, parameters), *([PENALTY] if penalised else []))
        most = max(0, min(CHARTED, SHARED - probes) - penalised)
        self.charted = tuple(map(column, _charted(parameters, recurrent, most)))
        self.diverged: int | None = None
        self._divergence = divergence
        self._pending: list[Update] = []
        self._rates: list[float] = []
        self._blocks: list[np.ndarray] = []
        self._flushed = 0  # rows in all blocks: asked for at every update

    def __len__(self) -> int:
        """Updates so far."""
        return self._flushed + len(self._pending)

    def append(self, update: Update, lr: float) -> None:
        """Keep one update; costs two list appends."""
        self._pending.append(update)
        self._rates.append(lr)

    def flush(self) -> None:
        """Turn pending updates into rows (updates, columns); the one place that waits for the device."""
        block = self._rows()
        self._pending, self._rates = [], []
        if self.diverged is not None:
            return
        stop = self._first_divergence(block)
        if stop is not None:
            self.diverged = len(self) + stop + 1
            block = block[: stop + 1]
        if len(block):
            self._blocks.append(block)
            self._flushed += len(block)

    @property
    def last(self) -> tuple[float, float] | None:
        """Loss and gradient norm before clipping of the last flushed update."""
        return (float(self._blocks[-1][-1, LOSS]), float(self._blocks[-1][-1, TOTAL])) if self._blocks else None

    def rows(self, start: int = 0) -> np.ndarray:
        """Flushed rows from number `start` on, (updates, columns), float32."""
        empty = np.empty((0, len(self.columns)), np.float32)
        return np.concatenate([empty, *self._blocks])[start:]

    def table(self) -> pa.Table:
        """All flushed rows with their update numbers, as Arrow; NaN and inf are kept."""
        rows = self.rows()
        columns = {"update": np.arange(1, len(rows) + 1)}
        return pa.table(columns | {name: rows[:, i] for i, name in enumerate(self.columns)})

    def state(self) -> dict[str, Any]:
        """All flushed rows and the divergence, in tensors and plain values."""
        return {"rows": torch.from_numpy(self.rows()), "diverged": self.diverged}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore from a dict returned by `state()`."""
        self._blocks, self.diverged = [state["rows"].numpy()], state["diverged"]
        self._flushed = len(self._blocks[0])

    def _rows(self) -> np.ndarray:
        if not self._pending:
            return self.rows(len(self))
        fixed = [torch.stack([u.loss, u.clipped.total, u.clipped.applied]) for u in self._pending]
        parameters = torch.stack([u.clipped.parameters for u in self._pending])
        added = [torch.stack([u.penalty])[None] for u in self._pending if u.penalty is not None]
        parts = [torch.stack(fixed), parameters, *([torch.cat(added)] if added else [])]
        measured = torch.cat(parts, 1).float().cpu().numpy()
        return np.insert(measured, RATE, self._rates, axis=1)

    def _first_divergence(self, block: np.ndarray) -> int | None:
        """Index of the first row whose loss or gradient is not finite, or whose loss exceeds `divergence`."""
        if not len(block):
            return None
        bad = ~np.isfinite(block[:, [LOSS, TOTAL]]).all(1)
        if self._divergence is not None:
            first = float(self._blocks[0][0, LOSS] if self._blocks else block[0, LOSS])
            # In float64: the product may leave the range of float32.
            bad |= block[:, LOSS].astype(float) > self._divergence * max(abs(first), 1.0)
        return int(bad.argmax()) if bad.any() else None


class Envelope:
    """A history thinned for charts: the mean and the maximum of every bucket, so that no spike is hidden.

    The first quarter of the points are single updates, since training is decided there; the others are buckets of
    equal width.

    Args:
        history: whose rows are added.
        updates: how many are expected in all; they fall into at most `points` buckets.
        points: see `conf/tracking`.
    """

    def __init__(self, history: History, updates: int, points: int):
        self._single = points // 4
        self._width = max(1, math.ceil((updates - self._single) / (points - self._single)))
        self._charted = history.charted
        self._places = [history.columns.index(name) for name in history.charted]
        self._penalised = history.columns[-1] == PENALTY
        self._rest = np.empty((0, len(history.columns)), np.float32)
        self._done = 0

    def add(self, block: np.ndarray, last: bool = False) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield (update, {key: value}) for every full bucket; with `last` also for one that is not full.

        A NaN or inf in a bucket makes its mean and maximum NaN or inf.
        """
        self._rest = np.concatenate([self._rest, block])
        while len(self._rest) >= (width := self._next_width) or (last and len(self._rest)):
            bucket, self._rest = self._rest[:width], self._rest[width:]
            self._done += len(bucket)
            with np.errstate(all="ignore"):  # NaN and inf are what a chart of a diverged run shows
                values = self._fixed(bucket) | self._by_parameter(bucket) | self._penalty(bucket)
            yield self._done, {key: float(value) for key, value in values.items()}

    @property
    def _next_width(self) -> int:
        return 1 if self._done < self._single else self._width

    def _fixed(self, bucket: np.ndarray) -> dict[str, np.floating]:
        means, peaks = bucket[:, : len(FIXED)].mean(0, dtype=np.float64), bucket[:, : len(FIXED)].max(0)
        total, applied = bucket[:, TOTAL].astype(np.float64), bucket[:, APPLIED].astype(np.float64)
        scale = np.where(applied == total, 1.0, applied / total)
        return {
            "loss/train": means[LOSS],
            "loss/train_max": peaks[LOSS],
            "optimizer/effective_lr": (bucket[:, RATE] * scale).mean(),
            "grad_norm/total": means[TOTAL],
            "grad_norm/total_max": peaks[TOTAL],
            "grad_norm/applied": means[APPLIED],
            "clip/active": (applied < total).mean(),
            "clip/scale": scale.mean(),
            "nonfinite/gradients": (~np.isfinite(total)).sum(),
        }

    def _by_parameter(self, bucket: np.ndarray) -> dict[str, np.floating]:
        peaks = bucket[:, self._places].max(0)
        return {f"{name}_max": peak for name, peak in zip(self._charted, peaks, strict=True)}

    def _penalty(self, bucket: np.ndarray) -> dict[str, np.floating]:
        return {"loss/penalty": bucket[:, -1].mean(dtype=np.float64)} if self._penalised else {}


def _charted(parameters: Sequence[str], recurrent: Collection[str], most: int) -> Sequence[str]:
    """Parameters to chart: all, or the first `most` of those that are no biases, recurrent ones before others."""
    if len(parameters) <= most:
        return parameters
    weights = [name for name in parameters if "bias" not in name]
    return sorted(weights, key=lambda name: name not in recurrent)[:most]
