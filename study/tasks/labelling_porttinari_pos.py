"""Porttinari (Lopes et al. 2022), Portuguese news: the universal part of speech of every word."""

from collections import Counter
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Literal

import conllu
import torch
from torch import Tensor

from study.models import Inputs
from study.schema import task as schema
from study.schema.run import Data
from study.tasks.batches import Buckets, Sentences
from study.tasks.carriers import carried
from study.tasks.contract import Batch, Batches, Split, Task
from study.tasks.measures import LabellingMeasures
from study.tasks.memoryless import Memoryless

Tagged = list[tuple[str, str]]
"""One sentence: (word, tag) a step."""


class LabellingPorttinariPos(Task):
    """Words are numbered by the training part; 0 stands for rarer and unseen ones. Tags: the 17 of UD."""

    primary = "accuracy"
    direction: Literal["maximize"] = "maximize"

    def __init__(self, config: schema.LabellingPorttinariPos, data: Data, seed: int):
        self._config, self._seed = config, seed
        sentences = _sentences(carried(data, "dante/data/porttinari/annotated.conllu"))
        ends = int(len(sentences) * (1 - config.validation - config.test)), int(len(sentences) * (1 - config.test))
        parts = {"train": sentences[: ends[0]], "val": sentences[ends[0] : ends[1]], "test": sentences[ends[1] :]}
        counts = Counter(word for word, _ in chain.from_iterable(parts["train"]))
        words = {word: i for i, word in enumerate((w for w, n in counts.items() if n >= config.min_count), 1)}
        tags = {tag: i for i, tag in enumerate(sorted({tag for _, tag in chain.from_iterable(sentences)}))}
        self.inputs, self.targets = Inputs(len(words) + 1, tokens=True), len(tags)
        self._parts = {split: _number(part, words, tags) for split, part in parts.items()}
        train = self._parts["train"]
        self._memoryless = Memoryless(train.words, train.labels, (self.inputs.size, self.targets))

    def batches(self, split: Split) -> Batches:
        """Sentences of like length side by side."""
        return Buckets(self._parts[split], self._config.batch_size, self._seed if split == "train" else None)

    def measures(self) -> LabellingMeasures:
        """Accuracy, macro-F1, nats."""
        return LabellingMeasures(self.targets)

    def naive(self, batch: Batch) -> Tensor:
        """How often each word has each tag in the training part."""
        return self._memoryless(batch.inputs)


@lru_cache
def _sentences(path: Path) -> list[Tagged]:
    """Every sentence of a CoNLL-U file; multiword tokens and empty nodes are no steps."""
    with path.open(encoding="utf-8") as file:
        return [
            [(token["form"].lower(), token["upos"]) for token in sentence if isinstance(token["id"], int)]
            for sentence in conllu.parse_incr(file, fields=["id", "form", "lemma", "upos"])
        ]


def _number(sentences: list[Tagged], words: dict[str, int], tags: dict[str, int]) -> Sentences:
    steps = list(chain.from_iterable(sentences))
    return Sentences(
        torch.tensor([words.get(word, 0) for word, _ in steps]),
        torch.tensor([tags[tag] for _, tag in steps]),
        torch.tensor([len(sentence) for sentence in sentences]),
    )
