"""Training data as Lightning takes it: several batches a step, in an order that a resumed run can join anywhere."""

import math
from collections.abc import Iterator

from study.tasks import Batch, Batches


class Chunks:
    """A split as Lightning wants it: an iterable with a length, whose items are lists of `size` batches.

    Many updates so share Lightning's own cost of a step, about 1 ms.

    Attributes:
        epoch: the next one to iterate over.
        done: number of next chunks to leave empty: they were used before the run was interrupted.
    """

    def __init__(self, batches: Batches, size: int = 32):
        self.batches, self.size, self.epoch = batches, size, 0
        self.done = 0

    def __len__(self) -> int:
        """Lightning steps an epoch."""
        return math.ceil(len(self.batches) / self.size)

    def __iter__(self) -> Iterator[list[Batch]]:
        """The chunks of epoch `epoch`."""
        done = min(self.done, len(self))
        self.done -= done
        yield from ([] for _ in range(done))
        batches = self.batches.epoch(self.epoch, done * self.size)
        while chunk := [batch for _, batch in zip(range(self.size), batches, strict=False)]:
            yield chunk
