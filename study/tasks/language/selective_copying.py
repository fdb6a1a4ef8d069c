"""Selective copying (Gu & Dao 2023, arXiv 2312.00752, table 1; sequences as in the released code of S4).

Of L steps m, at random places, show a letter each, out of K; the others are blank. Then come m markers, at which the
letters are asked for in their order. Places differ from sequence to sequence, so that a network must choose what it
keeps: a delay, or any filter that is the same at all steps, does not do. Published: L + m = 4,096 or so, m = 16, a
vocabulary of 16 (blank, 14 letters, marker). Without memory every letter is equally likely: one answer in K is right.
"""

import torch
from torch import Generator

from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.language import LanguageSelectiveCopyingConfig as Config
from study.tasks.contract import Batch
from study.tasks.synthetic import DrawnClasses

BLANK = 0


class SelectiveCopying(DrawnClasses):
    """Tokens: 0 is blank, 1..K the letters, K + 1 the marker. Classes: 0..K - 1, the letters."""

    def __init__(self, config: Config, data: DataConfig, seed: int):
        super().__init__(config, data, seed)
        self._seq_len, self._symbols = config.seq_len, config.symbols
        self.inputs, self.targets = Inputs(config.letters + 2, tokens=True), config.letters
        self._asked = torch.arange(config.seq_len + config.symbols)[:, None] >= config.seq_len

    def draw(self, width: int, draws: Generator) -> Batch:
        """See `Synthetic`."""
        places = torch.rand(self._seq_len, width, generator=draws).topk(self._symbols, 0).indices.sort(0).values
        letters = torch.randint(self.targets, (self._symbols, width), generator=draws)
        blank = torch.full((self._seq_len, width), BLANK)
        inputs = torch.cat([blank.scatter(0, places, letters + 1), torch.full_like(letters, self.targets + 1)])
        return Batch(inputs, torch.cat([torch.zeros_like(blank), letters]), self._asked.expand(-1, width))
