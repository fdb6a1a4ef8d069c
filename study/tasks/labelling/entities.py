"""Named entities written as labels: a letter and a kind, such as B-PER, B_PER or PER-B; O is none.

Where there is one kind the letter may stand alone: B, I, O. Letters say where in an entity a word stands: B first, I
inside, E last, S alone; others write L and U for E and S, or M for I and W for S. Which words make an entity follows
the rules of `conlleval` (Tjong Kim Sang & Buchholz 2000), which read all of these schemes, and give badly formed rows a
meaning too.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float
from nervaluate import Evaluator
from torch import Tensor

from study.tasks.contract import Batch
from study.tasks.metrics import LabellingMetrics

SCHEMES = {"IOB": "BI", "IOE": "IE", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES", "BMEWO": "BMEW"}
"""The letters of every scheme; IOB1 and IOE1, which mark only entities that touch, have those of IOB and IOE."""
AS_BIOES = str.maketrans("LUMW", "ESIS")
FORMS = tuple(
    re.compile(form)
    for form in (
        r"(?P<letter>[A-Z])(?P<between>[-_])(?P<kind>.+)",
        r"(?P<kind>.+)(?P<between>[-_])(?P<letter>[A-Z])",
        r"(?P<letter>[A-Z])(?P<between>)(?P<kind>)",
    )
)
"""How a label may be written; all labels of a corpus in the same way."""
SIMILAR = re.compile(r"[BIESLUMW][-_:/|.].*|.+[-_:/|.][BIESLUMW]|[BI]", re.IGNORECASE)
"""What a reader would take for the label of an entity."""


def are_entities(labels: Iterable[str]) -> bool:
    """Whether labels are entities of one of the schemes, O among them."""
    return bool(hyphened(labels))


def hyphened(labels: Iterable[str]) -> dict[str, str]:
    """Every label as its letter, a hyphen and its kind; none if the labels are not entities of one of the schemes.

    No scheme is guessed: a letter says the same in each, so it is enough that some scheme has all of them.
    """
    given = set(labels)
    marked = given - {"O"}
    for form in FORMS if marked < given else ():
        read = {label: match for label in marked if (match := form.fullmatch(label))}
        letters, between = ({match[part] for match in read.values()} for part in ("letter", "between"))
        fits = len(read) == len(marked) and len(between) == 1 and any(letters <= set(s) for s in SCHEMES.values())
        if fits and (between != {""} or letters > {"B"}):  # B and O alone may be any two classes
            named = {label: f"{match['letter']}-{match['kind'] or 'entity'}" for label, match in read.items()}
            return named | {"O": "O"}
    return {}


def misfit(labels: Iterable[str]) -> str:
    """Why labels that look like entities are none; empty if they are, or do not look so."""
    given = set(labels)
    marked = sorted(given - {"O", "o"})
    similar = [label for label in marked if SIMILAR.fullmatch(label)]
    letters = {end.upper() for label in similar for end in (label[0], label[-1])}
    if are_entities(given) or 2 * len(similar) < len(marked) or not letters & {"B", "I"}:
        return ""
    if "O" not in given:
        return "there is no O"
    others = [label for label in marked if label not in similar]
    return f"{', '.join(others[:5])} fits none" if others else f"{', '.join(marked[:8])} do not fit one of them"


def entities(row: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """The entities of a row of labels: (first word, last word, kind).

    An entity ends after E or S, before B, S and O, and where the kind changes; what follows begins one, unless it is O.
    """
    first, before, kind = 0, "O", ""
    for place, label in enumerate([*row, "O"]):
        letter, new = label[0].translate(AS_BIOES) if label != "O" else "O", label[2:]
        ends = before != "O" and (before in "ES" or letter in "BSO" or new != kind)
        if ends:
            yield first, place - 1, kind
        if letter != "O" and (ends or before == "O"):
            first = place
        before, kind = letter, new


def as_iob2(row: Sequence[str]) -> list[str]:
    """The same entities with B on every first word and I on the others."""
    written = ["O"] * len(row)
    for first, last, kind in entities(row):
        written[first : last + 1] = [f"B-{kind}", *[f"I-{kind}"] * (last - first)]
    return written


class EntityMetrics(LabellingMetrics):
    """entity_f1 beside the measures of labels: the harmonic mean of precision and recall of whole entities.

    An entity counts as found only if its first word, its last word and its kind are right (Tjong Kim Sang 2002,
    CoNLL-2002); see `entities`.

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
