"""Ways to make batches: windows of series, columns of a stream, buckets of sentences, fresh draws.

All of them index whole tensors; nothing here loops over single items.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Generator, Tensor

from study.seeding import generator
from study.tasks.contract import Batch, Batches, Places


class Windows(Batches):
    """Every window of `seq_len` steps of several series, drawn in a new order every epoch.

    Args:
        series: (inputs, targets) pairs, each (steps, features) and (steps, values).
        seq_len: steps a window; a series must not be shorter.
        batch_size: windows side by side; the last batch of an epoch may be smaller.
        seed: of the order.
    """

    def __init__(self, series: Sequence[tuple[Tensor, Tensor]], seq_len: int, batch_size: int, seed: int):
        self._inputs = torch.cat([inputs for inputs, _ in series])
        self._targets = torch.cat([targets for _, targets in series])
        firsts, offset = [], 0
        for inputs, _ in series:
            firsts.append(torch.arange(offset, offset + len(inputs) - seq_len + 1))
            offset += len(inputs)
        self._firsts, self._steps = torch.cat(firsts), torch.arange(seq_len)
        self._batch_size, self._seed = batch_size, seed

    def __len__(self) -> int:
        """All windows, `batch_size` at a time."""
        return math.ceil(len(self._firsts) / self._batch_size)

    def keys(self, epoch: int) -> Sequence[Tensor]:
        """First steps of the windows of each batch."""
        shuffled = torch.randperm(len(self._firsts), generator=generator(self._seed, f"data order/{epoch}"))
        return self._firsts[shuffled].split(self._batch_size)

    @property
    def longest(self) -> int:
        """`seq_len`."""
        return len(self._steps)

    def batch(self, key: Int[Tensor, " batch"]) -> Batch:
        """The windows that start at `key`."""
        steps = key + self._steps[:, None]
        return Batch(self._inputs[steps], self._targets[steps])

    def outlines(self) -> Iterator[Batch]:
        """See `Batches`; one step, shown as all: windows overlap, and an epoch of long ones is many times the data."""
        for key in self.keys(0):
            first, size = Batch(self._inputs[:1, None], self._targets[:1, None]), (len(self._steps), len(key), -1)
            yield first.map(lambda tensor, size=size: tensor.expand(size))  # type: ignore[misc]

    def tensors(self) -> Iterator[Tensor]:
        """All series end to end, and where windows start."""
        yield from (self._inputs, self._targets, self._firsts)

    @property
    def size(self) -> int:
        """Windows."""
        return len(self._firsts)


LONG = 1 << 16
"""Steps from which series are read in several batches: a network keeps its outputs of a whole batch."""


class Whole(Batches):
    """Several series from first to last step, side by side, the shorter ones padded: `whole`, in batches if `LONG`."""

    def __init__(self, series: Sequence[tuple[Float[Tensor, "steps features"], Float[Tensor, "steps values"]]]):
        pad = torch.nn.utils.rnn.pad_sequence
        lengths = torch.tensor([len(inputs) for inputs, _ in series])
        mask = torch.arange(int(lengths.max()))[:, None] < lengths
        inputs, targets = pad([inputs for inputs, _ in series]), pad([targets for _, targets in series])
        self.whole = Batch(inputs, targets, None if mask.all() else mask)
        self.stateful = len(self) > 1

    def __len__(self) -> int:
        """Usually one."""
        return math.ceil(self.longest / LONG)

    def keys(self, epoch: int) -> Sequence[int]:
        """First steps."""
        return range(0, self.longest, LONG)

    @property
    def longest(self) -> int:
        """Steps of the longest series."""
        return len(self.whole.targets)

    def batch(self, key: int) -> Batch:
        """The steps from `key` on."""
        return self.whole.between(key, key + LONG) if self.stateful else self.whole

    def places(self, key: int, batch: Batch) -> Places:
        """The steps from `key` on."""
        column, step = Places.side_by_side(batch)
        return Places(column, step + key)

    def tensors(self) -> Iterator[Tensor]:
        """All of it."""
        return (part for part in self.whole if part is not None)

    @property
    def size(self) -> int:
        """Series."""
        return self.whole.targets.shape[1]


class Stream(Batches):
    """A text as `batch_size` contiguous columns read side by side, so that the state can be carried between batches.

    Tokens are stored once, in their own type (one byte a character), and widened a batch at a time. The last ones,
    fewer than `batch_size`, make no whole row and are left out.

    Args:
        tokens: of the text, in its order.
        seq_len: tokens of every column in a batch.
        batch_size: columns.
    """

    stateful = True

    def __init__(self, tokens: UInt8[Tensor, " tokens"] | Int[Tensor, " tokens"], seq_len: int, batch_size: int):
        rows = (len(tokens) - 1) // batch_size
        self._columns = tokens[: rows * batch_size].view(batch_size, rows).T
        self._following = tokens[1 : rows * batch_size + 1].view(batch_size, rows).T
        self._seq_len = seq_len

    @property
    def longest(self) -> int:
        """Steps of a column."""
        return len(self._columns)

    @property
    def stream(self) -> int:
        """`seq_len`."""
        return self._seq_len

    def __len__(self) -> int:
        """Windows of `seq_len` down the columns; the last may be shorter."""
        return math.ceil(len(self._columns) / self._seq_len)

    def keys(self, epoch: int) -> Sequence[int]:
        """First rows, top to bottom: a stream is never shuffled."""
        return range(0, len(self._columns), self._seq_len)

    def batch(self, key: int) -> Batch:
        """`seq_len` tokens of every column from row `key`, and the token that follows each."""
        rows = slice(key, key + self._seq_len)
        return Batch(_wide(self._columns[rows]), _wide(self._following[rows]))

    def places(self, key: int, batch: Batch) -> Places:
        """The text is one sequence, in which a column follows the one before it."""
        column, row = Places.side_by_side(batch)
        steps = column * len(self._columns) + key + row
        return Places(torch.zeros_like(steps), steps)

    def tensors(self) -> Iterator[Tensor]:
        """What is read and what follows."""
        yield from (self._columns, self._following)

    @property
    def size(self) -> int:
        """Tokens."""
        return self._columns.numel()


def _wide(tokens: Shaped[Tensor, "time batch"]) -> Int[Tensor, "time batch"]:
    return tokens.to(torch.int64, memory_format=torch.contiguous_format)


class Sentences(NamedTuple):
    """Sentences end to end: tokens (one or several a step) and the label of every step, and every sentence's length."""

    tokens: Int[Tensor, "steps *features"]
    labels: Int[Tensor, " steps"]
    lengths: Int[Tensor, " sentences"]


class Buckets(Batches):
    """Sentences of similar length side by side, padded with zeros to the longest of the batch.

    Args:
        sentences: of the split.
        batch_size: sentences side by side; the last bucket may be smaller.
        seed: in every epoch, sentences of equal length and the order of the batches are shuffled anew; None: the
            longest come first, always.
    """

    def __init__(self, sentences: Sentences, batch_size: int, seed: int | None):
        self._lengths, self._batch_size, self._seed = sentences.lengths, batch_size, seed
        self._firsts = sentences.lengths.cumsum(0) - sentences.lengths
        self._tokens, self._labels = _padded(sentences.tokens), _padded(sentences.labels)
        self._steps = torch.arange(int(sentences.lengths.max()))[:, None]

    def __len__(self) -> int:
        """All sentences, `batch_size` at a time."""
        return math.ceil(len(self._firsts) / self._batch_size)

    def keys(self, epoch: int) -> Sequence[Tensor]:
        """Numbers of the sentences of each batch."""
        if self._seed is None:
            return self._lengths.argsort(descending=True, stable=True).split(self._batch_size)
        draws = generator(self._seed, f"data order/{epoch}")
        shuffled = torch.randperm(len(self._lengths), generator=draws)
        buckets = shuffled[self._lengths[shuffled].argsort(stable=True)].split(self._batch_size)
        return [buckets[i] for i in torch.randperm(len(buckets), generator=draws).tolist()]

    @property
    def longest(self) -> int:
        """Words of the longest sentence."""
        return int(self._lengths.max())

    def batch(self, key: Int[Tensor, " batch"]) -> Batch:
        """The sentences numbered `key`."""
        lengths = self._lengths[key]
        steps = self._steps[: int(lengths.max())]
        mask = steps < lengths
        places = torch.where(mask, self._firsts[key] + steps, len(self._labels) - 1).flatten()
        tokens, labels = self._tokens.index_select(0, places), self._labels.index_select(0, places)
        return Batch(tokens.view(*mask.shape, *tokens.shape[1:]), labels.view(mask.shape), mask)

    def places(self, key: Int[Tensor, " batch"], batch: Batch) -> Places:
        """The sentences numbered `key`."""
        column, step = Places.side_by_side(batch)
        return Places(key[column], step)

    def tensors(self) -> Iterator[Tensor]:
        """All sentences end to end, and how long each is."""
        yield from (self._tokens, self._labels, self._lengths)

    @property
    def size(self) -> int:
        """Sentences."""
        return len(self._lengths)


def _padded(steps: Shaped[Tensor, "steps *features"]) -> Shaped[Tensor, "padded *features"]:
    """The steps and, at the end, a row of zeros, from which padding is read."""
    return torch.cat([steps, torch.zeros_like(steps[:1])])


class Fresh(Batches):
    """Sequences drawn on demand, new ones in every epoch; or, if `fixed`, the same in every epoch.

    Args:
        draw: makes a batch of so many sequences with a generator.
        sequences: number of sequences in an epoch.
        batch_size: sequences side by side; the last batch of an epoch may be smaller.
        seed: of the draws.
        purpose: name of the draws, e.g. `train`; different names draw different sequences.
        fixed: whether every epoch is epoch 0.
    """

    def __init__(
        self,
        draw: Callable[[int, Generator], Batch],
        sequences: int,
        batch_size: int,
        seed: int,
        purpose: str,
        fixed: bool,
    ):
        self._draw, self._sequences, self._batch_size = draw, sequences, batch_size
        self._seed, self._purpose, self.fixed = seed, purpose, fixed

    def __len__(self) -> int:
        """All sequences, `batch_size` at a time."""
        return math.ceil(self._sequences / self._batch_size)

    def keys(self, epoch: int) -> Sequence[tuple[int, int]]:
        """(epoch, first sequence) of each batch."""
        return [(0 if self.fixed else epoch, first) for first in range(0, self._sequences, self._batch_size)]

    def batch(self, key: tuple[int, int]) -> Batch:
        """The batch that starts at one sequence of one epoch, drawn with a generator of its own."""
        epoch, first = key
        width = min(self._batch_size, self._sequences - first)
        return self._draw(width, generator(self._seed, f"{self._purpose}/{epoch}/{first}"))

    def places(self, key: tuple[int, int], batch: Batch) -> Places:
        """The sequences from the first one of the batch on."""
        column, step = Places.side_by_side(batch)
        return Places(column + key[1], step)

    def tensors(self) -> Iterator[Tensor]:
        """The batches of epoch 0, which stand for all others: seed and formula are the same."""
        return (part for batch in self.epoch(0) for part in batch if part is not None)

    @property
    def size(self) -> int:
        """Sequences."""
        return self._sequences
