"""Words (lower case) and affixes (as written), numbered by the training part; rarer and unseen ones are unknown.

With affixes a step has several tokens: the word and each affix, every kind with numbers of its own, of which the first
is the unknown one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from study.data.corpora.steps import kinds
from study.models import Inputs
from study.tasks.preprocessing import Columns, Preprocessing


class Words(Preprocessing):
    """Tokens by kind and number, and the labels.

    Args:
        known: of every kind (see `kinds`), in their order; the words come first.
        labels: in their order.
    """

    def __init__(self, known: Sequence[Sequence[str]], labels: Sequence[str]):
        self.known, self.labels = [list(kind) for kind in known], list(labels)
        sizes = [len(kind) + 1 for kind in known]
        self.firsts = np.cumsum([0, *sizes[:-1]]).tolist()
        self.tokens_a_step = len(sizes)
        self.inputs, self.targets = Inputs(sum(sizes), tokens=True), len(labels)

    def as_dict(self) -> dict[str, Any]:
        """All tokens in their order, and the labels."""
        return {"known": self.known, "labels": self.labels}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Words":
        """See `Preprocessing`."""
        return cls(kept["known"], kept["labels"])

    def encode(self, words: Sequence[str]) -> Int[Tensor, "steps *features"]:
        """The tokens of some words."""
        columns = []
        for kind, known, first in zip(kinds(words, (len(self.known) - 1) // 2), self.known, self.firsts, strict=True):
            numbers = {token: number for number, token in enumerate(known, first + 1)}
            columns.append([numbers.get(token, first) for token in kind])
        return torch.tensor(columns).T.contiguous() if len(columns) > 1 else torch.tensor(columns[0])

    def answers(self, predictions: Tensor, inputs: Tensor, targets: Tensor) -> Columns:
        """The number of the label `predicted`, and its `probability`."""
        best = predictions.max(-1)
        return {"predicted": best.indices.numpy(), "probability": best.values.numpy()}

    def table(self, names: Columns, answers: Columns) -> pd.DataFrame:
        """Labels by their names."""
        labels = np.array(self.labels, dtype=object)[answers["predicted"]]
        return pd.DataFrame({**names, "predicted": labels, "probability": answers["probability"]})

    def measures(self, table: pd.DataFrame) -> dict[str, float]:
        """The share of words whose label is right, where they have one."""
        if "true" not in table:
            return {}
        true, predicted = (table[column].astype(str) for column in ("true", "predicted"))  # of a file: by categories
        return {"accuracy": float((true == predicted).mean())}
