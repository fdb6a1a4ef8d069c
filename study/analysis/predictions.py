"""Predictions as a table, collected from the pass that measures them: no network is run twice."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from study.tasks import Batch, Batches
from study.tasks.preprocessing import Columns, Names, Preprocessing

TABLE = "predictions.parquet"
"""Where a run keeps those on its test part, among its artifacts."""
ROWS = 50_000
"""Most steps of the test part whose predictions are kept: the first ones in the order of the evaluation."""


class Predictions:
    """Collects what was predicted at the steps that count, batch by batch.

    Args:
        batches: of one pass.
        names: of their steps.
        learnt: says what predictions mean.
        most: steps that are kept; None: all.
    """

    def __init__(self, batches: Batches, names: Names, learnt: Preprocessing, most: int | None = None):
        self._batches, self._names, self._learnt, self._most = batches, names, learnt, most
        self._keys: Iterator[Any] = iter(batches.keys(0))
        self._places: list[np.ndarray] = []  # (2, steps): sequence and step
        self._answers: list[Columns] = []
        self._steps = 0

    def __call__(self, predictions: Tensor, batch: Batch) -> None:
        """Take the next batch of the pass; see `study.learning.evaluation.See`."""
        mask = torch.ones(batch.targets.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask
        key, counting = next(self._keys), mask.flatten().nonzero()[:, 0]
        chosen = counting if self._most is None else counting[: self._most - self._steps]
        if not len(chosen):
            return
        self._steps += len(chosen)
        places = torch.stack(self._batches.places(key, batch)).flatten(1)[:, chosen]
        parts = (part.flatten(0, 1)[chosen] for part in (predictions, batch.inputs, batch.targets))
        self._places.append(places.numpy())
        self._answers.append(self._learnt.answers(*parts))

    def frame(self) -> pd.DataFrame:
        """All of them, in the order of the data."""
        sequence, step = np.concatenate(self._places, 1)
        order = np.lexsort((step, sequence))
        answers = {key: np.concatenate([part[key] for part in self._answers])[order] for key in self._answers[0]}
        return self._learnt.table(self._names(sequence[order], step[order]), answers)

    def arrow(self) -> pa.Table:
        """The same for Parquet, in less space: texts that repeat are stored once, whole numbers in four bytes."""
        table = pa.Table.from_pandas(self.frame(), preserve_index=False)
        for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                table = table.set_column(place, name, column.dictionary_encode())
            elif pa.types.is_integer(column.type):
                table = table.set_column(place, name, column.cast(pa.int32()))
        return table
