"""Interpolated n-grams: p_n(w | h) = share_n(h w) + rest_n(h) p_{n-1}(w | h'), h' being h without its first token.

p_0 is uniform over the vocabulary, so every token has a probability above zero. What the shares and rests are is the
smoothing (`witten_bell`, `kneser_ney`); counting, backing off and looking up are here. N-grams are numbered order by
order: the code of h w is number(h) * vocabulary + w, where h is the (n-1)-gram before w; sorted, the codes of all that
followed h stand side by side. So nothing is ever held for n-grams that do not occur.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from study.opponents.contract import Fitted, choose
from study.tasks import Batch, Metrics, Task
from study.tasks.metrics import LanguageMetrics

MOST_TOKENS = 5_000_000
"""Of the training part that are counted, its last ones: time and memory stay in seconds and a few hundred MB."""
MOST = 8
"""Largest order tried."""
UNSEEN = -1
"""Number of an n-gram that the training part does not hold."""

Array = np.ndarray


class Grams(NamedTuple):
    """All n-grams of one order in the training part, in the order of their codes.

    Attributes:
        codes: sorted, each once.
        context: number of the (n-1)-gram each begins with.
        contexts: how many (n-1)-grams there are.
        counts: how often each occurs.
        at: for every token of the training part the number of the n-gram it ends; `UNSEEN` for the first n - 1.
        first: for every n-gram the place of one token that it ends at.
    """

    codes: Array
    context: Array
    contexts: int
    counts: Array
    at: Array
    first: Array


def next_order(tokens: Array, vocabulary: int, lower: Grams | None) -> Grams:
    """Count the n-grams of the order after `lower`; None: of order 1."""
    start, before, contexts = 0, np.zeros(len(tokens), np.int64), 1
    if lower is not None:  # the context of a token is the (n-1)-gram that ends one token earlier
        start = int((lower.at == UNSEEN).sum()) + 1
        before, contexts = np.concatenate([[UNSEEN], lower.at[:-1]]).astype(np.int64), len(lower.codes)
    codes, first, numbers, counts = np.unique(
        before[start:] * vocabulary + tokens[start:], return_index=True, return_inverse=True, return_counts=True
    )
    at = np.concatenate([np.full(start, UNSEEN), numbers]).astype(np.int32)
    return Grams(codes, codes // vocabulary, contexts, counts, at, (first + start).astype(np.int32))


class NgramLevel(NamedTuple):
    """One order of an interpolated model.

    Attributes:
        codes: of the n-grams, sorted.
        share: of every n-gram.
        rest: of every context; 1 where nothing followed it.
    """

    codes: Array
    share: Array
    rest: Array


def interpolate(grams: Grams, kept: Array, rests: Array) -> NgramLevel:
    """A level from what is kept of every count and what every context gives to the lower order, before division."""
    total = np.bincount(grams.context, weights=kept, minlength=grams.contexts) + rests
    followed = total > 0
    rest = np.divide(rests, total, out=np.ones(grams.contexts), where=followed)
    share = np.divide(kept, total[grams.context], out=np.zeros(len(kept)), where=followed[grams.context])
    return NgramLevel(grams.codes, share, rest)


class Interpolated(Fitted):
    """An interpolated model of order n = the number of `levels`; where a column starts, contexts are shorter."""

    def __init__(self, levels: Sequence[NgramLevel], vocabulary: int, name: str):
        self._levels, self._vocabulary = levels, vocabulary
        self.label, self.memory = f"{name} {len(levels)}-gram", max(0, len(levels) - 2)

    def predict(self, batch: Batch, before: Tensor) -> Tensor:
        """See `Fitted`: the probabilities of all tokens; `chosen` is faster where one is asked for."""
        steps = batch.inputs.shape
        dense = np.full((steps.numel(), self._vocabulary), 1 / self._vocabulary)
        for level, contexts in zip(self._levels, self._contexts(batch.inputs, before), strict=True):
            numbers = contexts.reshape(-1)
            dense *= np.where(numbers == UNSEEN, 1.0, level.rest[numbers])[:, None]
            places, grams = _followers(level, numbers, self._vocabulary)
            dense[places, level.codes[grams] % self._vocabulary] += level.share[grams]
        return torch.from_numpy(dense.astype(np.float32)).view(*steps, self._vocabulary)

    def chosen(self, batch: Batch, before: Tensor) -> Tensor:
        """The probability (time, batch) of the token that came at every step, without those of all others."""
        targets = batch.targets.numpy()
        p = np.full(targets.shape, 1 / self._vocabulary)
        for level, contexts in zip(self._levels, self._contexts(batch.inputs, before), strict=True):
            grams = _find(level.codes, contexts, targets, self._vocabulary)
            share = np.where(grams == UNSEEN, 0.0, level.share[grams])
            p = share + np.where(contexts == UNSEEN, 1.0, level.rest[contexts]) * p
        return torch.from_numpy(p.astype(np.float32))

    def count(self, metrics: Metrics, batch: Batch, before: Tensor) -> None:
        """See `Fitted`."""
        if isinstance(metrics, LanguageMetrics):
            metrics.update_chosen(self.chosen(batch, before), batch)
        else:
            super().count(metrics, batch, before)

    def _contexts(self, inputs: Tensor, before: Tensor) -> list[Array]:
        """For every order n the number (time, batch) of the (n-1)-gram that ends at each input."""
        tokens = torch.cat([before, inputs]).numpy()
        numbers = np.zeros(tokens.shape, np.int64)
        found = [numbers]
        for level in self._levels[:-1]:
            previous = np.concatenate([np.full((1, tokens.shape[1]), 0 if len(found) == 1 else UNSEEN), numbers[:-1]])
            numbers = _find(level.codes, previous, tokens, self._vocabulary)
            found.append(numbers)
        return [numbers[len(before) :] for numbers in found]


def _find(codes: Array, contexts: Array, tokens: Array, vocabulary: int) -> Array:
    """Numbers of the n-grams made of a context and a token."""
    wanted = np.where(contexts == UNSEEN, UNSEEN, contexts * vocabulary + tokens)
    places = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    return np.where(codes[places] == wanted, places, UNSEEN)


def _followers(level: NgramLevel, contexts: Array, vocabulary: int) -> tuple[Array, Array]:
    """All that followed each context: (which of `contexts`, number of the n-gram) pairs."""
    seen = np.flatnonzero(contexts != UNSEEN)
    first = np.searchsorted(level.codes, contexts[seen] * vocabulary)
    many = np.searchsorted(level.codes, (contexts[seen] + 1) * vocabulary) - first
    within = np.arange(many.sum()) - np.repeat(many.cumsum() - many, many)
    return np.repeat(seen, many), np.repeat(first, many) + within


Smoothing = Callable[[Sequence[Grams]], list[NgramLevel]]
"""The levels of an interpolated model from the n-grams of all its orders, the first of order 1."""


def fit_orders(task: Task, smoothing: Smoothing, name: str) -> Interpolated:
    """The order that is best on the validation part: larger ones are tried until one is no better."""
    columns, following = task.batches("train").tensors()
    tokens = torch.cat([columns.T.reshape(-1), following[-1, -1:]])[-MOST_TOKENS:].numpy().astype(np.int64)

    def candidates() -> Iterator[Interpolated]:
        grams: list[Grams] = []
        while len(grams) < min(MOST, len(tokens)):
            grams.append(next_order(tokens, task.targets, grams[-1] if grams else None))
            yield Interpolated(smoothing(grams), task.targets, name)

    return choose(candidates(), task, patience=1)
