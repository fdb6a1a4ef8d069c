"""What language tasks share: texts are read, tokens numbered by the training part, and laid out in columns.

A data set is a function `load` that reads its text; everything else is here.
"""

import re
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from study.errors import ConfigError
from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.base import SplitByShares
from study.schema.task.language import LanguageConfig as Config
from study.tasks.baselines import BLOCK, Memoryless
from study.tasks.batches import Stream
from study.tasks.contract import SPLITS, Batch, Batches, Split, Task
from study.tasks.metrics import LanguageMetrics

UNKNOWN, END_OF_LINE = "<unk>", "<eos>"


class Texts(NamedTuple):
    """A data set, read: one text to be split by shares, or three; words are what white space separates."""

    texts: tuple[str] | tuple[str, str, str]
    source: str


def apart(text: str) -> str:
    """Prose whose punctuation marks are words of their own."""
    return re.sub(r"([^\w\s])", r" \1 ", text)


class Language(Task):
    """Tokens are numbered by the training part; 0 stands for those it holds too rarely or not at all."""

    load: ClassVar[Callable[..., Texts]]
    """Reads the data set as its config says: `load(config, data)`."""
    primary = "nats"
    direction = "minimize"
    opponents = ("bigram", "witten_bell", "kneser_ney")

    def __init__(self, config: Config, data: DataConfig, seed: int):
        self._config = config
        texts, self.source = self.load(config, data)
        parts = _character_codes(texts) if config.level == "char" else _word_codes(texts)
        if len(parts) == 1:
            assert isinstance(config, SplitByShares)
            parts = _by_shares(parts[0], config)
        self._tokens, size = _number(dict(zip(SPLITS, parts, strict=True)), config.min_count)
        self.inputs, self.targets = Inputs(size, tokens=True), size
        self._check_lengths()
        train = self._tokens["train"]
        self._memoryless = Memoryless(train[:-1], train[1:], (size, size))

    def _check_lengths(self) -> None:
        width, seq_len = self._config.batch_size, self._config.seq_len
        for split, tokens in self._tokens.items():
            rows = (len(tokens) - 1) // width
            if rows < (seq_len if split == "train" else 1):
                raise ConfigError(
                    f"task.batch_size = {width}, task.seq_len = {seq_len}: the {split} part has {len(tokens)} tokens, "
                    f"{max(rows, 0)} a column; give more text, fewer columns, or shorter sequences"
                )

    def batches(self, split: Split) -> Batches:
        """`batch_size` contiguous columns of the split."""
        return Stream(self._tokens[split], self._config.seq_len, self._config.batch_size)

    def metrics(self) -> LanguageMetrics:
        """Nats, perplexity, and bits a character where tokens are characters."""
        return LanguageMetrics(characters=self._config.level == "char")

    def baseline(self, batch: Batch) -> Tensor:
        """The shares of the tokens that follow the current one in the training part."""
        return self._memoryless(batch.inputs)


def _character_codes(texts: tuple[str, ...]) -> list[np.ndarray]:
    """Code points."""
    return [np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32) for text in texts]


def _word_codes(texts: tuple[str, ...]) -> list[np.ndarray]:
    """Words numbered from 1 as they first come, line ends counted as words; `<unk>` is 0."""
    words = [text.replace("\n", f" {END_OF_LINE} ").split() for text in texts]
    codes, _ = pd.factorize(np.array([UNKNOWN, *(word for part in words for word in part)], dtype=object))
    return np.split(codes[1:], np.cumsum([len(part) for part in words])[:-1])


def _by_shares(codes: np.ndarray, config: SplitByShares) -> list[np.ndarray]:
    steps = len(codes)
    ends = int(steps * (1 - config.validation - config.test)), int(steps * (1 - config.test))
    return np.split(codes, ends)


def _number(parts: dict[str, np.ndarray], min_count: int) -> tuple[dict[str, Tensor], int]:
    """Tokens in as few bytes as they need, and how many different ones there are, the unknown one included."""
    highest = max(int(part.max(initial=0)) for part in parts.values())
    counts = np.sum([np.bincount(block, minlength=highest + 1) for block in _blocks(parts["train"])], axis=0)
    counts[0] = 0
    known = np.flatnonzero(counts >= min_count)
    size = len(known) + 1
    table = np.zeros(highest + 1, dtype=np.uint8 if size <= 256 else np.int32)
    table[known] = np.arange(1, size)
    tokens = {split: np.concatenate([table[block] for block in _blocks(part)]) for split, part in parts.items()}
    return {split: torch.from_numpy(part) for split, part in tokens.items()}, size


def _blocks(codes: np.ndarray) -> list[np.ndarray]:
    """Stretches short enough for the wide copies NumPy indexes with."""
    return np.split(codes, range(BLOCK, len(codes), BLOCK))
