"""Named entities written as labels: B-x begins an entity of kind x, I-x continues it, O is none."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float
from nervaluate import Evaluator
from torch import Tensor

from study.tasks.contract import Batch
from study.tasks.metrics import LabellingMetrics


def are_entities(labels: Iterable[str]) -> bool:
    """Whether labels are of this form, O among them."""
    return "O" in labels and all(label == "O" or label[:2] in ("B-", "I-") for label in labels)


class EntityMetrics(LabellingMetrics):
    """entity_f1 beside the measures of labels: the harmonic mean of precision and recall of whole entities.

    An entity counts as found only if its first word, its last word and its kind are right (Tjong Kim Sang 2002,
    CoNLL-2002); an I-x that continues nothing begins an entity.

    Args:
        labels: by number.
    """

    def __init__(self, labels: list[str]):
        super().__init__(len(labels))
        self._labels = np.array(labels, dtype=object)
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
        if batch.mask is None:
            return written.tolist()
        return [row[counts].tolist() for row, counts in zip(written, batch.mask.T.cpu().numpy(), strict=True)]

    def compute(self) -> dict[str, float]:
        """Accuracy, macro_f1, nats, entity_f1."""
        kinds = sorted({label[2:] for label in self._labels if label != "O"})
        found = Evaluator(self._true, self._guessed, tags=kinds, loader="list").evaluate()
        return super().compute() | {"entity_f1": float(found["overall"]["strict"].f1)}
