"""The three ways data become batches: windows of series, columns of a stream, buckets of sentences.

All of them index whole tensors; nothing here loops over single items.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from study.seeding import generator
from study.tasks.contract import Batch, Batches


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
        return -(-len(self._firsts) // self._batch_size)

    def order(self, epoch: int) -> Sequence[Tensor]:
        """First steps of the windows of each batch."""
        shuffled = torch.randperm(len(self._firsts), generator=generator(self._seed, f"data order/{epoch}"))
        return self._firsts[shuffled].split(self._batch_size)

    def batch(self, key: Int[Tensor, " batch"]) -> Batch:
        """The windows that start at `key`."""
        steps = key + self._steps[:, None]
        return Batch(self._inputs[steps], self._targets[steps])


class Whole(Batches):
    """Several series from first to last step, side by side in one batch, the shorter ones padded."""

    def __init__(self, series: Sequence[tuple[Float[Tensor, "steps features"], Float[Tensor, "steps values"]]]):
        pad = torch.nn.utils.rnn.pad_sequence
        lengths = torch.tensor([len(inputs) for inputs, _ in series])
        mask = torch.arange(int(lengths.max()))[:, None] < lengths
        inputs, targets = pad([inputs for inputs, _ in series]), pad([targets for _, targets in series])
        self._batch = Batch(inputs, targets, None if mask.all() else mask)

    def __len__(self) -> int:
        """One."""
        return 1

    def order(self, epoch: int) -> Sequence[int]:
        """The one batch."""
        return [0]

    def batch(self, key: int) -> Batch:
        """The one batch."""
        return self._batch


class Stream(Batches):
    """A text as `batch_size` contiguous columns read side by side: the state carried means what it says.

    Tokens are kept as they come (one byte a character), and widened a batch at a time.
    """

    carry = True

    def __init__(self, tokens: UInt8[Tensor, " tokens"] | Int[Tensor, " tokens"], seq_len: int, batch_size: int):
        rows = (len(tokens) - 1) // batch_size
        self._columns = tokens[: rows * batch_size].view(batch_size, rows).T.contiguous()
        self._following = tokens[1 : rows * batch_size + 1].view(batch_size, rows).T.contiguous()
        self._seq_len = seq_len

    def __len__(self) -> int:
        """Windows of `seq_len` down the columns; the last may be shorter."""
        return -(-len(self._columns) // self._seq_len)

    def order(self, epoch: int) -> Sequence[int]:
        """From the top to the bottom: a stream is never shuffled."""
        return range(0, len(self._columns), self._seq_len)

    def batch(self, key: int) -> Batch:
        """`seq_len` tokens of every column from row `key`, and the token that follows each."""
        rows = slice(key, key + self._seq_len)
        return Batch(self._columns[rows].long(), self._following[rows].long())


class Sentences(NamedTuple):
    """Sentences end to end: words and labels, one of each a step, and the length of every sentence."""

    words: Int[Tensor, " steps"]
    labels: Int[Tensor, " steps"]
    lengths: Int[Tensor, " sentences"]


class Buckets(Batches):
    """Sentences of like length side by side, padded to the longest of the batch.

    With a seed, sentences of equal length change places and batches change order every epoch.
    """

    def __init__(self, sentences: Sentences, batch_size: int, seed: int | None):
        self._sentences, self._batch_size, self._seed = sentences, batch_size, seed
        self._firsts = sentences.lengths.cumsum(0) - sentences.lengths

    def __len__(self) -> int:
        """All sentences, `batch_size` at a time."""
        return -(-len(self._firsts) // self._batch_size)

    def order(self, epoch: int) -> Sequence[Tensor]:
        """Numbers of the sentences of each batch."""
        lengths = self._sentences.lengths
        if self._seed is None:
            return lengths.argsort(stable=True).split(self._batch_size)
        draws = generator(self._seed, f"data order/{epoch}")
        shuffled = torch.randperm(len(lengths), generator=draws)
        buckets = shuffled[lengths[shuffled].argsort(stable=True)].split(self._batch_size)
        return [buckets[i] for i in torch.randperm(len(buckets), generator=draws).tolist()]

    def batch(self, key: Int[Tensor, " batch"]) -> Batch:
        """The sentences numbered `key`; padding reads as word 0, label 0."""
        lengths = self._sentences.lengths[key]
        steps = torch.arange(int(lengths.max()))[:, None]
        mask = steps < lengths
        places = torch.where(mask, self._firsts[key] + steps, 0)
        words, labels = self._sentences.words[places], self._sentences.labels[places]
        return Batch(torch.where(mask, words, 0), torch.where(mask, labels, 0), mask)
