"""What language tasks share: texts are read, tokens numbered by the training part, and laid out in columns.

A data set is a function `load` that reads its text; everything else is here.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from study.data import located, read_text
from study.data.corpora import tokens
from study.errors import ConfigError
from study.schema.run import DataConfig
from study.schema.task.base import SplitByShares
from study.schema.task.language import LanguageConfig as Config
from study.schema.task.language import Level
from study.tasks.baselines import Memoryless
from study.tasks.batches import Stream
from study.tasks.contract import SPLITS, Batch, Batches, NewData, Split, Task
from study.tasks.language.vocabulary import Vocabulary
from study.tasks.metrics import LanguageMetrics
from study.tasks.preprocessing import Names
from study.tasks.unknown import noted, tagged


class Texts(NamedTuple):
    """A data set, read: one text to be split by shares, or three; words are what white space separates."""

    texts: tuple[str] | tuple[str, str, str]
    source: str
    notes: tuple[str, ...] = ()


def apart(text: str, level: Level) -> str:
    """Prose in whose words, if these are the tokens, punctuation marks are words of their own."""
    return text if level == "char" else re.sub(r"([^\w\s])", r" \1 ", text)


class Language(Task):
    """Tokens are numbered by the training part; 0 stands for those it holds too rarely or not at all."""

    load: ClassVar[Callable[..., Texts]]
    """Reads the data set as its config says: `load(config, data)`."""
    primary = "nats"
    learnt = Vocabulary
    prose: ClassVar[bool] = False
    """Whether the text is read by `apart`."""
    opponents = ("bigram", "witten_bell", "kneser_ney")

    def __init__(self, config: Config, data: DataConfig, seed: int):
        self._config, self.direction = config, config.direction
        texts, self.source, notes = self.load(config, data)
        parts, written = tokens.codes(texts, config.level)
        del texts  # as large as the file
        if len(parts) == 1:
            assert isinstance(config, SplitByShares)
            parts = tokens.by_shares(parts[0], config.ends(len(parts[0])))
        numbered, known = tokens.number(dict(zip(SPLITS, parts, strict=True)), config.min_count)
        del parts
        self._tokens = {split: torch.from_numpy(numbered[split]) for split in SPLITS}
        self._vocabulary = Vocabulary([tokens.UNKNOWN, *map(written, known)], config.level)
        self.inputs, self.targets = self._vocabulary.inputs, self._vocabulary.targets
        self._check_lengths()
        tokens.refuse_degenerate(self.targets, config.min_count)
        unknown = tokens.unknown_shares(numbered)
        self.notes, self.tags = (*notes, *noted(unknown, "tokens")), tagged(unknown)
        train = self._tokens["train"]
        self._memoryless = Memoryless(train[:-1], train[1:], (self.targets, self.targets))

    def _check_lengths(self) -> None:
        width, seq_len = self._config.batch_size, self._config.seq_len
        for split, part in self._tokens.items():
            rows = (len(part) - 1) // width
            if rows < (seq_len if split == "train" else 1):
                raise ConfigError(
                    f"task.batch_size = {width}, task.seq_len = {seq_len}: the {split} part has {len(part)} tokens, "
                    f"{max(rows, 0)} a column; give more text, fewer columns, or shorter sequences"
                )

    @property
    def preprocessing(self) -> Vocabulary:
        """See `Task`."""
        return self._vocabulary

    def names(self, split: Split) -> Names:
        """The place of a token in the text of its part, from 1, and the token: the one that is predicted."""
        return named(self._vocabulary.tokens, self._tokens[split].numpy())

    @classmethod
    def read(cls, config: Config, source: Path | pd.DataFrame, learnt: Vocabulary) -> NewData:
        """A plain text file, from its first token to its last: see `Task`."""
        if not isinstance(source, Path):
            raise ConfigError(f"task = {config.name}: a plain text file is needed, not a table")
        text = read_text(located("data", str(source)))
        written, numbers = learnt.encode(apart(text, config.level) if cls.prose else text)
        if len(numbers) < 2:
            raise ConfigError(f"{source}: {len(numbers)} {config.level}s leave nothing to predict")
        unknown = float((numbers == 0).float().mean())
        return NewData(Stream(numbers, config.seq_len, 1), named(written, np.arange(len(written))), unknown)

    def batches(self, split: Split) -> Batches:
        """`batch_size` contiguous columns of the split."""
        return Stream(self._tokens[split], self._config.seq_len, self._config.batch_size)

    def metrics(self) -> LanguageMetrics:
        """Nats, perplexity, and bits a character where tokens are characters."""
        return LanguageMetrics(characters=self._config.level == "char")

    def baseline(self, batch: Batch) -> Tensor:
        """The shares of the tokens that follow the current one in the training part."""
        return self._memoryless(batch.inputs)


def named(tokens: np.ndarray, numbers: np.ndarray) -> Names:
    """Names of the steps of a text: the token that comes next, by its number among `tokens`, and its place."""
    return lambda sequence, step: {"place": step + 2, "token": tokens[numbers[step + 1]]}
