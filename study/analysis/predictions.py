"""Predictions as a table, collected from the pass that measures them: no network is run twice."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from study.tasks import Batch, Batches
from study.tasks.preprocessing import Names, Preprocessing

TABLE = "predictions.parquet"
"""Where a run keeps those on its test part, among its artifacts."""
ROWS = 100_000
"""Most steps of the test part whose predictions are kept: the first ones in the order of the evaluation."""


class Predictions:
    """Collects what was predicted at the steps that count, batch by batch.

    Args:
        batches: of one pass.
        names: of their steps.
        learnt: says what predictions mean.
        most: steps that are kept; None: all.

    Attributes:
        steps: that were kept.
        seen: steps that counted.
    """

    def __init__(self, batches: Batches, names: Names, learnt: Preprocessing, most: int | None = None):
        self._batches, self._names, self._learnt, self._most = batches, names, learnt, most
        self._keys: Iterator[Any] = iter(batches.keys(0))
        self._tables: list[pd.DataFrame] = []
        self.steps = self.seen = 0

    def __call__(self, predictions: Tensor, batch: Batch) -> None:
        """Take the next batch of the pass; see `study.learning.evaluation.See`."""
        mask = torch.ones(batch.targets.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask
        key, counting = next(self._keys), mask.flatten().nonzero()[:, 0]
        self.seen += len(counting)
        chosen = counting if self._most is None else counting[: self._most - self.steps]
        if not len(chosen):
            return
        self.steps += len(chosen)
        sequence, step = (part.flatten()[chosen].numpy() for part in self._batches.places(key, batch))
        parts = (part.flatten(0, 1)[chosen] for part in (predictions, batch.inputs, batch.targets))
        table = self._learnt.table(self._names(sequence, step), *parts)
        self._tables.append(table.assign(_sequence=np.resize(sequence, len(table)), _step=np.resize(step, len(table))))

    def frame(self) -> pd.DataFrame:
        """All of them, in the order of the data."""
        if not self._tables:
            return pd.DataFrame()
        whole = pd.concat(self._tables, ignore_index=True)
        return whole.sort_values(["_sequence", "_step"], kind="stable", ignore_index=True).drop(
            columns=["_sequence", "_step"]
        )

    def arrow(self) -> pa.Table:
        """The same for Parquet: texts that repeat are stored once."""
        table = pa.Table.from_pandas(self.frame(), preserve_index=False)
        for place, column in enumerate(table.columns):
            if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
                table = table.set_column(place, table.column_names[place], column.dictionary_encode())
        return table
