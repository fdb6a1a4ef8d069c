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
from study.errors import ConfigError
from study.schema.run import DataConfig
from study.schema.task.base import SplitByShares
from study.schema.task.language import LanguageConfig as Config
from study.schema.task.language import Level
from study.tasks.baselines import BLOCK, Memoryless
from study.tasks.batches import Stream
from study.tasks.contract import SPLITS, Batch, Batches, NewData, Split, Task
from study.tasks.language.vocabulary import UNKNOWN, Vocabulary, words_of
from study.tasks.metrics import LanguageMetrics
from study.tasks.preprocessing import Names


class Texts(NamedTuple):
    """A data set, read: one text to be split by shares, or three; words are what white space separates."""

    texts: tuple[str] | tuple[str, str, str]
    source: str


def apart(text: str, level: Level) -> str:
    """Prose in whose words, if these are the tokens, punctuation marks are words of their own."""
    return text if level == "char" else re.sub(r"([^\w\s])", r" \1 ", text)


class Language(Task):
    """Tokens are numbered by the training part; 0 stands for those it holds too rarely or not at all."""

    load: ClassVar[Callable[..., Texts]]
    """Reads the data set as its config says: `load(config, data)`."""
    primary = "nats"
    direction = "minimize"
    learnt = Vocabulary
    prose: ClassVar[bool] = False
    """Whether the text is read by `apart`."""
    opponents = ("bigram", "witten_bell", "kneser_ney")

    def __init__(self, config: Config, data: DataConfig, seed: int):
        self._config = config
        texts, self.source = self.load(config, data)
        parts, written = _character_codes(texts) if config.level == "char" else _word_codes(texts)
        if len(parts) == 1:
            assert isinstance(config, SplitByShares)
            parts = _by_shares(parts[0], config)
        self._tokens, known = _number(dict(zip(SPLITS, parts, strict=True)), config.min_count)
        self._vocabulary = Vocabulary([UNKNOWN, *map(written, known)], config.level)
        self.inputs, self.targets = self._vocabulary.inputs, self._vocabulary.targets
        self._check_lengths()
        train = self._tokens["train"]
        self._memoryless = Memoryless(train[:-1], train[1:], (self.targets, self.targets))

    def _check_lengths(self) -> None:
        width, seq_len = self._config.batch_size, self._config.seq_len
        for split, tokens in self._tokens.items():
            rows = (len(tokens) - 1) // width
            if rows < (seq_len if split == "train" else 1):
                raise ConfigError(
                    f"task.batch_size = {width}, task.seq_len = {seq_len}: the {split} part has {len(tokens)} tokens, "
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
        written, tokens = learnt.encode(apart(text, config.level) if cls.prose else text)
        if len(tokens) < 2:
            raise ConfigError(f"{source}: {len(tokens)} {config.level}s leave nothing to predict")
        unknown = float((tokens == 0).float().mean())
        return NewData(Stream(tokens, config.seq_len, 1), named(written, np.arange(len(written))), unknown)

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


Written = Callable[[int], str]
"""From the code of a token to the token."""


def _character_codes(texts: tuple[str, ...]) -> tuple[list[np.ndarray], Written]:
    """Code points."""
    return [np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32) for text in texts], chr


def _word_codes(texts: tuple[str, ...]) -> tuple[list[np.ndarray], Written]:
    """Words numbered from 1 as they first come, line ends counted as words; `<unk>` is 0."""
    words = [words_of(text) for text in texts]
    codes, written = pd.factorize(np.array([UNKNOWN, *(word for part in words for word in part)], dtype=object))
    return np.split(codes[1:], np.cumsum([len(part) for part in words])[:-1]), lambda code: written[code]


def _by_shares(codes: np.ndarray, config: SplitByShares) -> list[np.ndarray]:
    steps = len(codes)
    ends = int(steps * (1 - config.validation - config.test)), int(steps * (1 - config.test))
    return np.split(codes, ends)


def _number(parts: dict[str, np.ndarray], min_count: int) -> tuple[dict[str, Tensor], list[int]]:
    """Tokens in as few bytes as they need, and the codes of those that are known, numbered from 1."""
    highest = max(int(part.max(initial=0)) for part in parts.values())
    counts = np.sum([np.bincount(block, minlength=highest + 1) for block in _blocks(parts["train"])], axis=0)
    counts[0] = 0
    known = np.flatnonzero(counts >= min_count)
    size = len(known) + 1
    table = np.zeros(highest + 1, dtype=np.uint8 if size <= 256 else np.int32)
    table[known] = np.arange(1, size)
    tokens = {split: np.concatenate([table[block] for block in _blocks(part)]) for split, part in parts.items()}
    return {split: torch.from_numpy(part) for split, part in tokens.items()}, known.tolist()


def _blocks(codes: np.ndarray) -> list[np.ndarray]:
    """Stretches short enough for the wide copies NumPy indexes with."""
    return np.split(codes, range(BLOCK, len(codes), BLOCK))
