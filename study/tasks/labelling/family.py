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
from study.errors import ConfigError
from study.schema.run import DataConfig
from study.schema.task.base import SplitByShares
from study.schema.task.labelling import LabellingConfig as Config
from study.tasks.baselines import Memoryless
from study.tasks.batches import Buckets, Sentences
from study.tasks.contract import SPLITS, Batch, Batches, NewData, Split, Task
from study.tasks.labelling.columns import Corpus
from study.tasks.labelling.entities import SCHEMES, EntityMetrics, are_entities, misfit
from study.tasks.labelling.words import Words, kinds
from study.tasks.metrics import LabellingMetrics, Metrics
from study.tasks.preprocessing import Columns, Names


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
    direction = "maximize"
    opponents = ("word_tag", "perceptron", "perceptron_both_ways")

    def __init__(self, config: Config, data: DataConfig, seed: int):
        self._config, self._seed = config, seed
        corpora, self.source = self.load(config, data)
        self._parts = dict(zip(SPLITS, _parts(corpora, config), strict=True))
        self._labels = sorted(set(self._parts["train"].labels))
        self._unseen = sorted({label for part in self._parts.values() for label in part.labels} - {*self._labels})
        self._sentences, known = _number(self._parts, [*self._labels, *self._unseen], config)
        self._learnt = Words(known, self._labels)
        self.inputs, self.targets = self._learnt.inputs, self._learnt.targets
        self._entities = are_entities([*self._labels, *self._unseen])
        self.primary = "entity_f1" if self._entities else "accuracy"
        self._refuse_unrelated()
        self.notes = tuple(self._notes())
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
    words, labels, lengths = corpora[0]
    count = len(lengths)
    ends = [0, int(count * (1 - config.validation - config.test)), int(count * (1 - config.test)), count]
    if len(set(ends)) < 4:
        raise ConfigError(f"task.validation, task.test: {count} sentences leave nothing in one of the parts")
    steps = np.concatenate([[0], np.cumsum(lengths)])[ends]
    return [
        Corpus(words[steps[i] : steps[i + 1]], labels[steps[i] : steps[i + 1]], lengths[ends[i] : ends[i + 1]])
        for i in range(3)
    ]


def _number(
    parts: dict[Split, Corpus], labels: list[str], config: Config
) -> tuple[dict[Split, Sentences], list[list[str]]]:
    """The parts in numbers, and the tokens of every kind that are known."""
    steps = {split: len(part.words) for split, part in parts.items()}
    words = np.array([word for part in parts.values() for word in part.words], dtype=object)
    codes, written = pd.factorize(words)
    columns, size, names = [], 0, []
    for tokens_of_kind in kinds(written, config.affixes):
        of_written, different = pd.factorize(np.array(tokens_of_kind, dtype=object))
        kind = of_written[codes]
        known = np.flatnonzero(np.bincount(kind[: steps["train"]], minlength=kind.max() + 1) >= config.min_count)
        table = np.full(kind.max() + 1, size)
        table[known] += np.arange(1, len(known) + 1)
        columns.append(table[kind])
        names.append(different[known].tolist())
        size += len(known) + 1
    tokens = torch.from_numpy(np.stack(columns, 1) if config.affixes else columns[0])
    numbers = {label: i for i, label in enumerate(labels)}
    numbered = {
        split: Sentences(part, torch.tensor([numbers[x] for x in corpus.labels]), torch.tensor(corpus.lengths))
        for (split, corpus), part in zip(parts.items(), tokens.split(list(steps.values())), strict=True)
    }
    return numbered, names
