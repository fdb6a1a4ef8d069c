"""Entity F1: whole entities, found and right, whatever scheme their labels are written in."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from nervaluate import Evaluator
from torch import Tensor

from study.data.corpora.schemes import as_iob2, hyphened
from study.tasks.contract import Batch
from study.tasks.metrics import LabellingMetrics


class EntityMetrics(LabellingMetrics):
    """entity_f1 beside the measures of labels: the harmonic mean of precision and recall of whole entities.

    An entity counts as found only if its first word, its last word and its kind are right (Tjong Kim Sang 2002,
    CoNLL-2002); see `study.data.corpora.schemes`.

    Args:
        labels: by number, those that a network can name.
        unseen: further ones, see `LabellingMetrics`.
    """

    def __init__(self, labels: Sequence[str], unseen: Sequence[str] = ()):
        super().__init__(len(labels), len(unseen))
        named = hyphened([*labels, *unseen])
        self._labels = np.array([named[label] for label in (*labels, *unseen)], dtype=object)
        self._true: list[list[str]] = []
        self._guessed: list[list[str]] = []

    def update(self, predictions: Float[Tensor, "time batch classes"], batch: Batch) -> None:
        """See `Metrics`."""
        super().update(predictions, batch)
        self._true += self._sentences(batch.targets, batch)
        self._guessed += self._sentences(predictions.argmax(-1), batch)

    def _sentences(self, classes: Tensor, batch: Batch) -> list[list[str]]:
        """The labels of every sentence, at the steps that count."""
        written = self._labels[classes.T.cpu().numpy()]
        counting = np.ones(written.shape, bool) if batch.mask is None else batch.mask.T.cpu().numpy()
        return [as_iob2(row[counts].tolist()) for row, counts in zip(written, counting, strict=True)]

    def compute(self) -> dict[str, float]:
        """Accuracy, macro_f1, nats, entity_f1."""
        kinds = sorted({label[2:] for label in self._labels if label != "O"})
        found = Evaluator(self._true, self._guessed, tags=kinds, loader="list").evaluate()
        return super().compute() | {"entity_f1": float(found["overall"]["strict"].f1)}
