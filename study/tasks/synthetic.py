"""Tasks whose sequences are drawn, not read, so that how far back they need the past is known."""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from study.schema.run import DataConfig
from study.schema.task import DrawnConfig, LengthsConfig
from study.tasks.batches import Fresh
from study.tasks.contract import Batch, Split, Task
from study.tasks.metrics import LabellingMetrics


class Synthetic(Task):
    """Training sequences are new in every epoch; validation and test are the same for every seed and epoch.

    Args:
        config: says how many sequences there are.
        data: not used: nothing is read.
        seed: of the training sequences.
    """

    source = "drawn by the formula of the task"

    def __init__(self, config: DrawnConfig, data: DataConfig, seed: int):
        self._sequences, self._held_out, self._batch_size = config.sequences, config.held_out, config.batch_size
        self._seed, self.horizon_known = seed, config.horizon_known
        self._made_of, self.direction = (config, data, seed), config.direction

    @abstractmethod
    def draw(self, width: int, draws: Generator) -> Batch:
        """`width` independent sequences."""

    def batches(self, split: Split) -> Fresh:
        """See `Task`."""
        if split == "train":
            return Fresh(self.draw, self._sequences, self._batch_size, self._seed, split, fixed=False)
        return Fresh(self.draw, self._held_out, self._batch_size, 0, split, fixed=True)

    def at_lengths(self) -> "dict[int, Task]":
        """See `Task`; the shortest first."""
        config, data, seed = self._made_of
        if not isinstance(config, LengthsConfig) or not config.test_lengths:
            return {}
        further = [length for length in config.test_lengths if length != config.length]
        others = {length: type(self)(config.at_length(length), data, seed) for length in further}
        return dict(sorted({**others, config.length: self}.items()))


class DrawnClasses(Synthetic):
    """A class is asked for; solved where less than 1% of the answers are wrong (Pascanu, Mikolov & Bengio 2013)."""

    primary = "accuracy"

    def metrics(self) -> LabellingMetrics:
        """Accuracy, macro-F1, nats."""
        return LabellingMetrics(self.targets)

    def solved(self, test: Mapping[str, float], guess: Mapping[str, float]) -> bool:
        """By its accuracy."""
        return test["accuracy"] > 0.99

    def baseline(self, batch: Batch) -> Tensor:
        """All classes with equal probability."""
        return torch.full((*batch.targets.shape, self.targets), 1 / self.targets)
