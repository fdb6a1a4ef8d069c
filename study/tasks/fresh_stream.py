"""Streams that are drawn, not read: the state is carried from batch to batch, and every epoch is a new stream."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from torch import Generator

from study.tasks.batches import Fresh
from study.tasks.contract import Batch, Places


class FreshStream(Fresh):
    """Streams drawn on demand, side by side, which batches cut into stretches; new in every epoch unless `fixed`.

    A whole epoch is drawn at once and kept until another is asked for.

    Args:
        draw: makes a batch of so many steps and columns with a generator.
        sequences: stretches of `seq_len` steps in an epoch; rounded up to whole batches.
        batch_size: columns.
        seq_len: steps of every column in a batch.
        seed: of the draws.
        purpose: name of the draws, e.g. `train`; different names draw different streams.
        fixed: whether every epoch is epoch 0.
    """

    stateful = True

    def __init__(
        self,
        draw: Callable[[int, int, Generator], Batch],
        sequences: int,
        batch_size: int,
        seq_len: int,
        seed: int,
        purpose: str,
        fixed: bool,
    ):
        self._rows, self._seq_len = math.ceil(sequences / batch_size) * seq_len, seq_len
        super().__init__(partial(draw, self._rows), batch_size, batch_size, seed, purpose, fixed)
        self._kept: tuple[int, Batch] | None = None

    @property
    def longest(self) -> int:
        """Steps of a column."""
        return self._rows

    @property
    def stream(self) -> int:
        """`seq_len`."""
        return self._seq_len

    def __len__(self) -> int:
        """Stretches down the columns."""
        return self._rows // self._seq_len

    def keys(self, epoch: int) -> Sequence[tuple[int, int]]:
        """(epoch, first row) of each batch."""
        return [(0 if self.fixed else epoch, first) for first in range(0, self._rows, self._seq_len)]

    def batch(self, key: tuple[int, int]) -> Batch:
        """The stretch of every column from one row of one epoch."""
        epoch, first = key
        if self._kept is None or self._kept[0] != epoch:
            self._kept = epoch, super().batch((epoch, 0))
        return self._kept[1].between(first, first + self._seq_len)

    def places(self, key: tuple[int, int], batch: Batch) -> Places:
        """Every column is a sequence."""
        column, step = Places.side_by_side(batch)
        return Places(column, step + key[1])

    @property
    def size(self) -> int:
        """Steps of all columns."""
        return self._rows * self._batch_size
