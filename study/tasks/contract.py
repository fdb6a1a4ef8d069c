"""The contract of every task: time-major batches, loss-independent measures, a baseline without memory.

`study.testing.tasks` holds the claims that every task must meet, ready for the tests of a task of your own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from study.errors import ConfigError
from study.models import Inputs
from study.standing import Direction
from study.tasks.preprocessing import Drawn, Names, Preprocessing

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class Batch(NamedTuple):
    """Sequences side by side.

    Attributes:
        inputs: real features (time, batch, features), or tokens (time, batch), or several tokens a step
            (time, batch, features).
        targets: real values (time, batch, values), or classes (time, batch).
        mask: True on steps whose targets count, in the loss and in measures; None if all do. Earlier steps are read
            all the same (a task may ask at the last step only); steps after a sequence's last one are padding.
        counted: the mask on the CPU, where the batch lies on another device: steps are counted there, so that no update
            waits for the device. None where the mask itself is at hand.
    """

    inputs: Float[Tensor, "time batch features"] | Int[Tensor, "time batch *features"]
    targets: Float[Tensor, "time batch values"] | Int[Tensor, "time batch"]
    mask: Bool[Tensor, "time batch"] | None = None
    counted: Bool[Tensor, "time batch"] | None = None

    @property
    def steps(self) -> int:
        """Number of steps that count, over all sequences."""
        time, width = self.targets.shape[:2]
        return time * width if self.mask is None else int(self._at_hand.sum())

    @property
    def lengths(self) -> Int[Tensor, " batch"]:
        """Steps of every sequence, up to its last one that counts; on the CPU."""
        time, width = self.targets.shape[:2]
        if self.mask is None:
            return torch.full((width,), time)
        return (self._at_hand * torch.arange(1, time + 1)[:, None]).amax(0)

    @property
    def longest(self) -> int:
        """Steps of the longest sequence."""
        return len(self.targets) if self.mask is None else int(self.lengths.max())

    @property
    def counting(self) -> Int[Tensor, " steps"]:
        """The steps, from 0, at which some sequence counts; on the CPU."""
        return torch.arange(len(self.targets)) if self.mask is None else self._at_hand.any(1).nonzero()[:, 0]

    @property
    def _at_hand(self) -> Bool[Tensor, "time batch"]:
        """The mask on the CPU."""
        assert self.mask is not None
        return self.mask.cpu() if self.counted is None else self.counted

    def map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with every tensor replaced by what `change` makes of it."""
        mask = None if self.mask is None else change(self.mask)
        return Batch(change(self.inputs), change(self.targets), mask)

    def to(self, device: torch.device | str) -> "Batch":
        """The same on a device; Lightning calls it for every batch, and nothing here waits for the device."""
        ahead = torch.device(device).type != "cpu"  # what comes back from a device has to be waited for
        moved = self.map(lambda tensor: tensor.to(device, non_blocking=ahead))
        return moved if self.mask is None or not ahead else moved._replace(counted=self._at_hand)

    def followed_by(self, other: "Batch") -> "Batch":
        """The steps of this batch and then those of another with as many sequences; no step may be masked."""
        return Batch(torch.cat([self.inputs, other.inputs]), torch.cat([self.targets, other.targets]))

    def between(self, first: int, stop: int) -> "Batch":
        """The steps from `first` up to, not including, `stop`."""
        part = self.map(lambda tensor: tensor[first:stop])
        return part if self.counted is None else part._replace(counted=self.counted[first:stop])


class Places(NamedTuple):
    """Where the steps of a batch lie in their data.

    Attributes:
        sequence: its number, from 0: of a series, a sentence, a drawn sequence; a text is one.
        step: the number in it, from 0.
    """

    sequence: Int[Tensor, "time batch"]
    step: Int[Tensor, "time batch"]

    @classmethod
    def side_by_side(cls, batch: Batch) -> "Places":
        """Of whole sequences, numbered as they stand side by side."""
        time, width = batch.targets.shape[:2]
        return cls(*torch.broadcast_tensors(torch.arange(width), torch.arange(time)[:, None]))


class Batches(ABC):
    """One split as numbered batches: any epoch, from any batch on, without making the ones before.

    Attributes:
        stateful: the state is carried from each batch to the next (columns of a stream); otherwise every batch starts
            from the initial state.
    """

    stateful: bool = False

    @property
    def longest(self) -> int:
        """Steps of the longest sequence; of a stream, those of a column."""
        return max(batch.longest for batch in self.epoch(0))

    @property
    def stream(self) -> int | None:
        """Steps of a batch where batches continue each other; None where they do not."""
        return None

    @abstractmethod
    def __len__(self) -> int:
        """Batches an epoch, the same in every epoch."""

    @abstractmethod
    def keys(self, epoch: int) -> Sequence[Any]:
        """One key for every batch, for `batch`, in the order of this epoch; depends on `epoch` alone."""

    @abstractmethod
    def batch(self, key: Any) -> Batch:
        """The batch of one key."""

    def places(self, key: Any, batch: Batch) -> Places:
        """Where the steps of a batch lie in the data: by itself, as if it were the only one.

        Args:
            key: of the batch.
            batch: that of the key.
        """
        return Places.side_by_side(batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, from number `start` on."""
        return map(self.batch, self.keys(epoch)[start:])

    def outlines(self) -> Iterator[Batch]:
        """Batches whose steps count as those of epoch 0 do, for counting them; their values mean nothing."""
        return self.epoch(0)

    @abstractmethod
    def tensors(self) -> Iterable[Tensor]:
        """All the data of the split, in an order that no epoch or seed changes."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Items in an epoch: windows, series, tokens, sentences or sequences."""


class NewData(NamedTuple):
    """Data that are not the task's own, as a trained network reads them.

    Attributes:
        batches: in one order.
        names: of their steps.
        unknown: share of the tokens that the training part does not have; 0 where there are no tokens.
    """

    batches: Batches
    names: Names
    unknown: float = 0.0


class Metrics(ABC):
    """Loss-independent measures, accumulated over the batches of a split."""

    def nameable(self, batch: Batch) -> Batch:
        """The batch for a loss: without the steps whose class the training part never shows. They count as wrong."""
        return batch

    @abstractmethod
    def update(self, predictions: Float[Tensor, "time batch predictions"], batch: Batch) -> None:
        """Add one batch; `predictions` are those of `Loss.predict`. Steps that do not count are left out."""

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Each measure by name, over everything added."""


class Task(ABC):
    """What is learnt, from which data.

    Attributes:
        inputs: what enters at every step.
        targets: number of values or classes a step.
        source: where the data are from.
        primary: the measure that ranks runs of this task, one of those that `metrics` computes.
        direction: whether less or more of it is better, as its config says.
        horizon_known: whether the task is certain to need the past as far back as its `horizon` (see
            `study.schema.task.TaskConfig.horizon_known`); otherwise the horizon is a guess.
        opponents: names of what a network is measured against; see `study.opponents`.
        notes: sentences about the data that a reader of the measures must know; printed once, and kept with the run.
        learnt: the class of its `preprocessing`.
        tags: of a run, further ones: what the data are like.
    """

    inputs: Inputs
    targets: int
    source: str
    primary: str
    direction: Direction
    horizon_known: bool = False
    opponents: tuple[str, ...] = ("guess",)
    notes: tuple[str, ...] = ()
    learnt: ClassVar[type[Any]] = Drawn
    tags: Mapping[str, str] = MappingProxyType({})

    @property
    def units(self) -> Float[Tensor, " targets"] | None:
        """What 1 in every target is in its own unit; None where targets are not standardised, and for classes."""
        return None

    @property
    def preprocessing(self) -> Preprocessing:
        """What it learnt from its training part."""
        return self.learnt(self.inputs, self.targets)

    def names(self, split: Split) -> Names:
        """What a person calls the steps of a split; of drawn sequences, numbers from 1."""
        return lambda sequence, step: {"sequence": sequence + 1, "step": step + 1}

    @classmethod
    def read(cls, config: Any, source: Path | pd.DataFrame, learnt: Any) -> NewData:
        """Data that are not the task's own, as a trained network reads them.

        Args:
            config: of the task.
            source: a file in the form that the task reads, or a table.
            learnt: by the task, see `preprocessing`.

        Raises:
            ConfigError: they cannot be read, or the task reads none.
        """
        raise ConfigError(f"task = {config.name}: its sequences are drawn, so a run of it cannot be used on data")

    @abstractmethod
    def batches(self, split: Split) -> Batches:
        """The batches of a split; only `train` is shuffled."""

    @abstractmethod
    def metrics(self) -> Metrics:
        """Fresh, empty measures."""

    def at_lengths(self) -> "Mapping[int, Task]":
        """The task by every length at which networks are to be tested, itself at its own; none: at its own alone."""
        return {}

    @abstractmethod
    def baseline(self, batch: Batch) -> Float[Tensor, "time batch predictions"]:
        """Predictions without memory: what follows from the current step alone, or persistence."""

    def solved(self, test: Mapping[str, float], guess: Mapping[str, float]) -> bool | None:
        """Whether a network has solved the task; None where there is no criterion of success.

        Args:
            test: its measures on the test split.
            guess: those of the baseline.
        """
        return None

    def baseline_metrics(self, split: Split) -> dict[str, float]:
        """The measures of the baseline's predictions on a split."""
        measures = self.metrics()
        for batch in self.batches(split).epoch(0):
            measures.update(self.baseline(batch), batch)
        return measures.compute()
