"""The complete history of a run: one row an update, without a device sync and without a write while it trains.

An update is kept as the device tensors it made; `flush` turns them into numbers, a block at a time.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int

from study.columns import APPLIED, FIXED, LOSS, RATE, SHARE, TOTAL, acted, column, scaled
from study.learning.bptt import Update

CHARTED = 6
"""Parameters with a chart of their own: with some 34 other keys a run stays within the 40 that MLflow's pages take."""
SHARED = 12
"""Probes and charted parameters together: where more probes measure, fewer parameters get a chart."""


class History:
    """Loss, learning rate, gradient norms (total before clipping, as applied, per parameter) of every update.

    After them stand numbers that the clip policy or the truncation adds. Norms are of the gradient that is clipped:
    where the loss scales it (`study.learning.losses.contract`), after that.

    Args:
        parameters: names of the trainable parameters, in the order of `Clipped.parameters`.
        recurrent: those of them that carry the state from step to step: they get a chart before others do.
        divergence: a loss above this multiple of the first one's size (of 1, if that is less) counts as diverged;
            None: only a loss or gradient that is not finite.
        probes: how many measure in the same run; tests at further lengths count as one, for they have a chart too.
        beside: names of the numbers in `Update.records`, columns behind all others, each with a chart of its own.
        patience: how many updates in a row may have a loss or a gradient that is not finite, see `Clip.patience`.

    Attributes:
        columns: names of the columns of every row.
        charted: those of parameters that get a chart of their own.
        beside: as given.
        diverged: number of the update (from 1) at which the run diverged, or None. Later rows are not kept: they are
            made of NaN.
    """

    def __init__(
        self,
        parameters: Sequence[str],
        recurrent: Collection[str] = (),
        divergence: float | None = None,
        probes: int = 0,
        beside: Sequence[str] = (),
        patience: int = 0,
    ):
        self.columns, self.beside = (*FIXED, *map(column, parameters), *beside), tuple(beside)
        most = max(0, min(CHARTED, SHARED - probes) - len(beside))
        self.charted = tuple(map(column, _charted(parameters, recurrent, most)))
        self._patience = patience
        self.diverged: int | None = None
        self._divergence = divergence
        self._lost_in_a_row = 0  # updates in a row, up to the last flushed one, that are not finite
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
        blocks, first = [np.empty((0, len(self.columns)), np.float32)], self._flushed
        for block in reversed(self._blocks):  # a long run writes often, and all blocks in one piece take memory
            if first <= start:
                break
            first -= len(block)
            blocks.insert(1, block)
        return np.concatenate(blocks)[max(0, start - first) :]

    def recorded(self, name: str) -> Float[np.ndarray, " updates"] | None:
        """A number beside the others of every flushed update; None where there is no such column."""
        return self.rows()[:, self.columns.index(name)] if name in self.beside else None

    def table(self) -> pa.Table:
        """All flushed rows with their update numbers, as Arrow; NaN and inf are kept."""
        rows = self.rows()
        columns = {"update": np.arange(1, len(rows) + 1)}
        return pa.table(columns | {name: rows[:, i] for i, name in enumerate(self.columns)})

    def state(self) -> dict[str, Any]:
        """All flushed rows, the names of their columns and the divergence, in tensors and plain values."""
        return {"columns": self.columns, "rows": torch.from_numpy(self.rows()), "diverged": self.diverged}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore from a dict returned by `state()`; a column that it lacks, under another treatment, is NaN."""
        rows, self.diverged = state["rows"].numpy(), state["diverged"]
        if (known := state.get("columns", self.columns)) != self.columns:
            rows = pd.DataFrame(rows, columns=list(known)).reindex(columns=list(self.columns)).to_numpy(np.float32)
        self._blocks, self._flushed = [rows] if len(rows) else [], len(rows)
        self._lost_in_a_row = int(_in_a_row(_lost(rows), 0)[-1]) if len(rows) else 0

    def _rows(self) -> np.ndarray:
        if not self._pending:
            return self.rows(len(self))
        fixed = [torch.stack([u.loss, u.clipped.total, u.clipped.applied]) for u in self._pending]
        parts = [torch.stack(fixed), torch.stack([u.clipped.parameters for u in self._pending])]
        measured = torch.cat(parts, 1).float().cpu().numpy()
        beside = [_numbers([u.records[name] for u in self._pending]) for name in self.beside]
        return np.insert(np.column_stack([measured, *beside]), RATE, self._rates, axis=1)

    def _first_divergence(self, block: np.ndarray) -> int | None:
        """Index of the first row whose loss or gradient is not finite, or whose loss exceeds `divergence`.

        Not finite in a row more often than the policy's patience allows.
        """
        if not len(block):
            return None
        in_a_row = _in_a_row(_lost(block), self._lost_in_a_row)
        self._lost_in_a_row = int(in_a_row[-1])
        bad = in_a_row > self._patience
        if self._divergence is not None:
            first = float(self._blocks[0][0, LOSS] if self._blocks else block[0, LOSS])
            size = abs(first) if math.isfinite(first) else 1.0  # a policy may have survived that one
            losses = block[:, LOSS].astype(float)  # in float64: the product may leave the range of float32
            bad |= np.isfinite(losses) & (losses > self._divergence * max(size, 1.0))
        return int(bad.argmax()) if bad.any() else None


def _numbers(values: Sequence[torch.Tensor | float]) -> Float[np.ndarray, " updates"]:
    """Numbers of one kind, those on a device read back together."""
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    return torch.stack(tensors).float().cpu().numpy() if tensors else np.array(values, np.float32)


def _lost(rows: Float[np.ndarray, "updates columns"]) -> Bool[np.ndarray, " updates"]:
    """The updates whose loss or gradient is not finite."""
    return ~np.isfinite(rows[:, [LOSS, TOTAL]]).all(1)


def _in_a_row(lost: Bool[np.ndarray, " updates"], before: int) -> Int[np.ndarray, " updates"]:
    """How many in a row, up to each update, are lost; so many just before the first one are."""
    number = np.arange(1, len(lost) + 1)
    return number - np.maximum.accumulate(np.where(lost, -before, number))


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
        self._beside = {name: history.columns.index(name) for name in history.beside}
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
                values = self._fixed(bucket) | self._by_parameter(bucket) | self._recorded(bucket)
            yield self._done, {key: float(value) for key, value in values.items()}

    @property
    def _next_width(self) -> int:
        return 1 if self._done < self._single else self._width

    def _fixed(self, bucket: np.ndarray) -> dict[str, np.floating]:
        means, peaks = bucket[:, : len(FIXED)].mean(0, dtype=np.float64), bucket[:, : len(FIXED)].max(0)
        total, applied = bucket[:, TOTAL].astype(np.float64), bucket[:, APPLIED].astype(np.float64)
        scale = scaled(total, applied)
        return {
            "loss/train": means[LOSS],
            "loss/train_max": peaks[LOSS],
            "optimizer/effective_lr": (bucket[:, RATE] * scale).mean(),
            "grad_norm/total": means[TOTAL],
            "grad_norm/total_max": peaks[TOTAL],
            "grad_norm/applied": means[APPLIED],
            "clip/active": (acted(total, applied, self._share(bucket)) > 0).mean(),
            "clip/scale": scale.mean(),
            "nonfinite/gradients": (~np.isfinite(total)).sum(),
        }

    def _share(self, bucket: np.ndarray) -> np.ndarray | None:
        return bucket[:, self._beside[SHARE]] if SHARE in self._beside else None

    def _recorded(self, bucket: np.ndarray) -> dict[str, np.floating]:
        return {name: bucket[:, place].mean(dtype=np.float64) for name, place in self._beside.items()}

    def _by_parameter(self, bucket: np.ndarray) -> dict[str, np.floating]:
        peaks = bucket[:, self._places].max(0)
        return {f"{name}_max": peak for name, peak in zip(self._charted, peaks, strict=True)}


def _charted(parameters: Sequence[str], recurrent: Collection[str], most: int) -> Sequence[str]:
    """Parameters to chart: all, or the first `most` of those that are no biases, recurrent ones before others."""
    if len(parameters) <= most:
        return parameters
    weights = [name for name in parameters if "bias" not in name]
    return sorted(weights, key=lambda name: name not in recurrent)[:most]
