"""What language tasks share: texts are read, tokens numbered by the training part, and laid out in columns.

A data set is a function `load` that reads its text; everything else is here.
"""

import re
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from study.data.corpora import tokens
from study.errors import ConfigError
from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.base import SplitByShares
from study.schema.task.language import LanguageConfig as Config
from study.tasks.baselines import Memoryless
from study.tasks.batches import Stream
from study.tasks.contract import SPLITS, Batch, Batches, Split, Task
from study.tasks.metrics import LanguageMetrics
from study.tasks.unknown import noted, tagged


class Texts(NamedTuple):
    """A data set, read: one text to be split by shares, or three; words are what white space separates."""

    texts: tuple[str] | tuple[str, str, str]
    source: str
    notes: tuple[str, ...] = ()


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
        texts, self.source, notes = self.load(config, data)
        parts = tokens.codes(texts, config.level)
        if len(parts) == 1:
            assert isinstance(config, SplitByShares)
            parts = tokens.by_shares(parts[0], config.ends(len(parts[0])))
        numbered, size = tokens.number(dict(zip(SPLITS, parts, strict=True)), config.min_count)
        self._tokens = {split: torch.from_numpy(numbered[split]) for split in SPLITS}
        self.inputs, self.targets = Inputs(size, tokens=True), size
        self._check_lengths()
        tokens.refuse_degenerate(size, config.min_count)
        unknown = tokens.unknown_shares(numbered)
        self.notes, self.tags = (*notes, *noted(unknown, "tokens")), tagged(unknown)
        train = self._tokens["train"]
        self._memoryless = Memoryless(train[:-1], train[1:], (size, size))

    def _check_lengths(self) -> None:
        width, seq_len = self._config.batch_size, self._config.seq_len
        for split, part in self._tokens.items():
            rows = (len(part) - 1) // width
            if rows < (seq_len if split == "train" else 1):
                raise ConfigError(
                    f"task.batch_size = {width}, task.seq_len = {seq_len}: the {split} part has {len(part)} tokens, "
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
