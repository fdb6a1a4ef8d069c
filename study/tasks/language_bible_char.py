"""The King James Bible: the next character, from a stream whose state is carried."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from study.errors import ConfigError
from study.models import Inputs
from study.schema import task as schema
from study.schema.run import Data
from study.tasks.batches import Stream
from study.tasks.carriers import carried
from study.tasks.contract import Batch, Batches, Split, Task
from study.tasks.measures import LanguageMeasures
from study.tasks.memoryless import Memoryless


class LanguageBibleChar(Task):
    """Verses one a line. Characters are numbered by the training part; 0 stands for any it does not hold."""

    primary = "nats"
    direction: Literal["minimize"] = "minimize"

    def __init__(self, config: schema.LanguageBibleChar, data: Data, seed: int):
        self._config = config
        text = _characters(carried(data, "bible/data/kjv.jsonl"))
        ends = int(len(text) * (1 - config.validation - config.test)), int(len(text) * (1 - config.test))
        tokens, size = _number(text, ends[0])
        self.inputs, self.targets = Inputs(size, tokens=True), size
        self._tokens = {"train": tokens[: ends[0]], "val": tokens[ends[0] : ends[1]], "test": tokens[ends[1] :]}
        self._check_lengths()
        train = self._tokens["train"].long()
        self._memoryless = Memoryless(train[:-1], train[1:], (size, size))

    def _check_lengths(self) -> None:
        for split, tokens in self._tokens.items():
            if len(tokens) <= self._config.batch_size:
                raise ConfigError(
                    f"task.batch_size = {self._config.batch_size}: the {split} part has {len(tokens)} characters, "
                    "too few for so many columns"
                )

    def batches(self, split: Split) -> Batches:
        """`batch_size` contiguous columns of the split."""
        return Stream(self._tokens[split], self._config.seq_len, self._config.batch_size)

    def measures(self) -> LanguageMeasures:
        """Nats, perplexity and bits a character."""
        return LanguageMeasures()

    def naive(self, batch: Batch) -> Tensor:
        """How often each character follows the current one in the training part."""
        return self._memoryless(batch.inputs)


@lru_cache
def _characters(path: Path) -> np.ndarray:
    """Code points of the whole text."""
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "".join(json.loads(line)["text"].strip() + "\n" for line in lines)
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def _number(text: np.ndarray, training: int) -> tuple[Tensor, int]:
    """One byte a character, and how many numbers there are."""
    known = np.unique(text[:training])
    table = np.zeros(int(text.max()) + 1, dtype=np.uint8)
    table[known] = np.arange(1, len(known) + 1)
    return torch.from_numpy(table[text]), len(known) + 1
