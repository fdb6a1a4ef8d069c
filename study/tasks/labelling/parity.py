"""Parity: whether the number of ones so far is odd; one forgotten bit makes every later answer a guess."""

import torch
from torch import Generator

from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.labelling import LabellingParityConfig as Config
from study.tasks.contract import Batch
from study.tasks.synthetic import DrawnClasses


class Parity(DrawnClasses):
    """Fair bits in; y_t = (x_1 + ... + x_t) mod 2 out: two classes, so plain binary cross-entropy fits."""

    inputs = Inputs(2, tokens=True)
    targets = 2

    def __init__(self, config: Config, data: DataConfig, seed: int):
        super().__init__(config, data, seed)
        self._seq_len = config.seq_len

    def draw(self, width: int, draws: Generator) -> Batch:
        """See `Synthetic`."""
        bits = torch.randint(2, (self._seq_len, width), generator=draws)
        return Batch(bits, bits.cumsum(0) % 2)
