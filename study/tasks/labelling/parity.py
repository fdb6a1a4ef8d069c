"""Parity: whether the number of ones so far is odd; one forgotten bit makes every later answer a guess."""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from study.models import Inputs
from study.schema.run import DataConfig
from study.schema.task.labelling import LabellingParityConfig as Config
from study.tasks.contract import Batch
from study.tasks.metrics import LabellingMetrics
from study.tasks.synthetic import Synthetic


class Parity(Synthetic):
    """Fair bits in; y_t = (x_1 + ... + x_t) mod 2 out: two classes, so plain binary cross-entropy fits."""

    inputs = Inputs(2, tokens=True)
    targets = 2
    primary = "accuracy"
    direction = "maximize"

    def __init__(self, config: Config, data: DataConfig, seed: int):
        super().__init__(config, data, seed)
        self._seq_len = config.seq_len

    def draw(self, width: int, draws: Generator) -> Batch:
        """See `Synthetic`."""
        bits = torch.randint(2, (self._seq_len, width), generator=draws)
        return Batch(bits, bits.cumsum(0) % 2)

    def metrics(self) -> LabellingMetrics:
        """Accuracy, macro-F1, nats."""
        return LabellingMetrics(self.targets)

    def solved(self, test: Mapping[str, float], guess: Mapping[str, float]) -> bool:
        """Less than 1% of the answers are wrong (as in temporal order)."""
        return test["accuracy"] > 0.99

    def baseline(self, batch: Batch) -> Tensor:
        """Both classes with equal probability."""
        return torch.full((*batch.targets.shape, 2), 0.5)
