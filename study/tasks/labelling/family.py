"""What labelling tasks share: corpora are read, words and labels numbered by the training part, put into buckets.

A data set is a function `load` that reads its sentences; everything else is here.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from study.data import located
from study.data.corpora.columns import Corpus, split_corpus
from study.data.corpora.schemes import SCHEMES, are_entities, misfit
from study.data.corpora.steps import number_words
from study.errors import ConfigError
from study.schema.run import DataConfig
from study.schema.task.base import SplitByShares
from study.schema.task.labelling import LabellingConfig as Config
from study.tasks.baselines import Memoryless
from study.tasks.batches import Buckets, Sentences
from study.tasks.contract import SPLITS, Batch, Batches, NewData, Split, Task
from study.tasks.labelling.entities import EntityMetrics
from study.tasks.labelling.words import Words
from study.tasks.metrics import LabellingMetrics, Metrics
from study.tasks.preprocessing import Columns, Names
from study.tasks.unknown import noted, tagged

LONG = 1000
"""Words from which a sentence may be several."""


class Corpora(NamedTuple):
    """A data set, read: one corpus to be split by shares of its sentences, or three."""

    corpora: tuple[Corpus] | tuple[Corpus, Corpus, Corpus]
    source: str


class Labelling(Task):
    """Words and affixes are numbered by the training part, see `Words`."""

    load: ClassVar[Callable[..., Corpora]]
    """Reads the data set as its config says: `load(config, data)`."""
    read_file: ClassVar[Callable[..., Corpus]]
    """Reads one file in the form of the data set: `read_file(path, config)`."""
    learnt = Words
    opponents = ("word_tag", "perceptron", "perceptron_both_ways")

    def __init__(self, config: Config, data: DataConfig, seed: int):
        self._config, self._seed, self.direction = config, seed, config.direction
        corpora, self.source = self.load(config, data)
        self._parts = dict(zip(SPLITS, _parts(corpora, config), strict=True))
        self._labels = sorted(set(self._parts["train"].labels))
        self._unseen = sorted({label for part in self._parts.values() for label in part.labels} - {*self._labels})
        self._sentences, known, unknown = _number(self._parts, [*self._labels, *self._unseen], config)
        self._learnt = Words(known, self._labels)
        self.inputs, self.targets = self._learnt.inputs, self._learnt.targets
        self._entities = are_entities([*self._labels, *self._unseen])
        self.primary = "entity_f1" if self._entities else "accuracy"
        self._refuse_unrelated()
        read = dict.fromkeys(note for corpus in corpora for note in corpus.notes)
        self.notes = (*read, *self._notes(), *noted(unknown, "words"))
        self.tags = tagged(unknown)
        train = self._sentences["train"]
        self._memoryless = Memoryless(self._words(train.tokens), train.labels, (self.inputs.size, self.targets))

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

    @property
    def preprocessing(self) -> Words:
        """See `Task`."""
        return self._learnt

    def names(self, split: Split) -> Names:
        """The number of the sentence, the word and its true label."""
        return named(self._parts[split])

    @classmethod
    def read(cls, config: Any, source: Path | pd.DataFrame, learnt: Words) -> NewData:
        """A corpus in the form of the data set, with labels or without: see `Task`."""
        if not isinstance(source, Path):
            raise ConfigError(f"task = {config.name}: a file with one word a line is needed, not a table")
        corpus = cls.read_file(located("data", str(source)), config)
        tokens, lengths = learnt.encode(corpus.words), torch.tensor(corpus.lengths)
        sentences = Sentences(tokens, torch.zeros(len(corpus.words), dtype=torch.int64), lengths)
        words = tokens[:, 0] if tokens.ndim > 1 else tokens
        labelled = {*learnt.labels} & {*corpus.labels}
        names = named(corpus if labelled else corpus._replace(labels=[]))
        return NewData(Buckets(sentences, config.batch_size, None), names, float((words == 0).float().mean()))

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


def named(corpus: Corpus) -> Names:
    """Names of the steps of a corpus; without the true labels, if it has none."""
    words, labels = np.array(corpus.words, dtype=object), np.array(corpus.labels, dtype=object)
    firsts = np.cumsum([0, *corpus.lengths[:-1]])

    def names(sequence: np.ndarray, step: np.ndarray) -> Columns:
        places = firsts[sequence] + step
        found = {"sentence": sequence + 1, "token": words[places]}
        return found | ({"true": labels[places]} if len(labels) else {})

    return names


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
) -> tuple[dict[Split, Sentences], list[list[str]], dict[str, float]]:
    """The parts in numbers, the tokens of every kind that are known, and the share of unknown words in every part."""
    words: dict[str, list[str]] = {split: part.words for split, part in parts.items()}
    tokens, known, unknown = number_words(words, config.min_count, config.affixes)
    numbers = {label: i for i, label in enumerate(labels)}
    numbered = {
        split: Sentences(
            torch.from_numpy(tokens[split]), torch.tensor([numbers[x] for x in part.labels]), torch.tensor(part.lengths)
        )
        for split, part in parts.items()
    }
    return numbered, known, unknown
