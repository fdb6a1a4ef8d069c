"""What labelling tasks share: corpora are read, words and labels numbered by the training part, put into buckets.

A data set is a function `load` that reads its sentences; everything else is here.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from study.data.corpora.columns import Corpus, split_corpus
from study.data.corpora.schemes import SCHEMES, are_entities, misfit
from study.data.corpora.steps import number_words
from study.errors import ConfigError
from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.base import SplitByShares
from study.schema.task.labelling import LabellingConfig as Config
from study.tasks.baselines import Memoryless
from study.tasks.batches import Buckets, Sentences
from study.tasks.contract import SPLITS, Batch, Batches, Split, Task
from study.tasks.labelling.entities import EntityMetrics
from study.tasks.metrics import LabellingMetrics, Metrics
from study.tasks.unknown import noted, tagged

LONG = 1000
"""Words from which a sentence may be several."""


class Corpora(NamedTuple):
    """A data set, read: one corpus to be split by shares of its sentences, or three."""

    corpora: tuple[Corpus] | tuple[Corpus, Corpus, Corpus]
    source: str


class Labelling(Task):
    """Words (lower case) and affixes (as written) are numbered by the training part; rarer and unseen ones are unknown.

    With affixes a step has several tokens: the word and each affix, every kind with numbers of its own.
    """

    load: ClassVar[Callable[..., Corpora]]
    """Reads the data set as its config says: `load(config, data)`."""
    direction = "maximize"
    opponents = ("word_tag", "perceptron", "perceptron_both_ways")

    def __init__(self, config: Config, data: DataConfig, seed: int):
        self._config, self._seed = config, seed
        corpora, self.source = self.load(config, data)
        self._parts = dict(zip(SPLITS, _parts(corpora, config), strict=True))
        self._labels = sorted(set(self._parts["train"].labels))
        self._unseen = sorted({label for part in self._parts.values() for label in part.labels} - {*self._labels})
        self._sentences, size, unknown = _number(self._parts, [*self._labels, *self._unseen], config)
        self.inputs, self.targets = Inputs(size, tokens=True), len(self._labels)
        self._entities = are_entities([*self._labels, *self._unseen])
        self.primary = "entity_f1" if self._entities else "accuracy"
        self._refuse_unrelated()
        read = dict.fromkeys(note for corpus in corpora for note in corpus.notes)
        self.notes = (*read, *self._notes(), *noted(unknown, "words"))
        self.tags = tagged(unknown)
        train = self._sentences["train"]
        self._memoryless = Memoryless(self._words(train.tokens), train.labels, (size, self.targets))

    def _refuse_unrelated(self) -> None:
        for split, part in self._parts.items():
            if set(part.labels) <= {*self._unseen}:
                raise ConfigError(
                    f"task: the {split} part has no label of the training part, but {_few(sorted(set(part.labels)))} "
                    f"(training: {_few(self._labels)}); is it the right column, and the right file?"
                )

    def _notes(self) -> Iterator[str]:
        """What of the labels a reader must know."""
        for split, part in self._parts.items():
            unseen = Counter(label for label in part.labels if label in self._unseen)
            if unseen:
                counted = _few([f"{label!r} {count} times" for label, count in unseen.most_common()])
                yield (
                    f"The {split} part has labels that the training part never shows ({counted}): these "
                    f"{unseen.total()} of {len(part.labels)} words count as wrong, and are left out of loss and nats."
                )
        longest, usual = (int(f([n for part in self._parts.values() for n in part.lengths])) for f in (max, np.median))
        if longest > LONG and longest > 20 * usual:
            yield (
                f"The longest sentence has {longest:,} words, half of all have {usual:,} or fewer: those beside it are "
                f"padded to its length, and its batch takes {longest / max(1, usual):,.0f} times the memory of a usual "
                "one. Are empty lines between sentences missing?"
            )
        if why := misfit([*self._labels, *self._unseen]):
            yield (
                f"The labels look like entities, but fit no scheme ({', '.join(SCHEMES)}, with O for none): {why}. "
                "They are scored word by word, by accuracy."
            )

    def batches(self, split: Split) -> Batches:
        """Sentences of like length side by side."""
        return Buckets(self._sentences[split], self._config.batch_size, self._seed if split == "train" else None)

    def metrics(self) -> Metrics:
        """Accuracy, macro-F1, nats; entity-F1 where labels are entities."""
        if self._entities:
            return EntityMetrics(self._labels, self._unseen)
        return LabellingMetrics(self.targets, len(self._unseen))

    def baseline(self, batch: Batch) -> Tensor:
        """The shares of the labels that each word has in the training part."""
        return self._memoryless(self._words(batch.inputs))

    def _words(self, tokens: Tensor) -> Tensor:
        """The word of every step, without affixes."""
        return tokens[..., 0] if self._config.affixes else tokens


def _few(words: Sequence[str]) -> str:
    """The first eight of some words, and how many more there are."""
    return ", ".join(words[:8]) + (f" and {len(words) - 8} more" if len(words) > 8 else "")


def _parts(corpora: Sequence[Corpus], config: Config) -> Sequence[Corpus]:
    if len(corpora) == 3:
        return corpora
    assert isinstance(config, SplitByShares)
    count = len(corpora[0].lengths)
    parts = split_corpus(corpora[0], config.ends(count))
    if not all(part.lengths for part in parts):
        raise ConfigError(f"task.validation, task.test: {count} sentences leave nothing in one of the parts")
    return parts


def _number(
    parts: dict[Split, Corpus], labels: list[str], config: Config
) -> tuple[dict[Split, Sentences], int, dict[str, float]]:
    """The parts in numbers, how many different tokens there are, and the share of unknown words in every part."""
    words: dict[str, list[str]] = {split: part.words for split, part in parts.items()}
    tokens, size, unknown = number_words(words, config.min_count, config.affixes)
    numbers = {label: i for i, label in enumerate(labels)}
    numbered = {
        split: Sentences(
            torch.from_numpy(tokens[split]), torch.tensor([numbers[x] for x in part.labels]), torch.tensor(part.lengths)
        )
        for split, part in parts.items()
    }
    return numbered, size, unknown
