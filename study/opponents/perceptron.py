"""The averaged perceptron (Collins 2002), reading each sentence from left to right as a network does.

A label's score is the sum of its weights at the features of the step. The label with the highest score is guessed, and
the latest guesses are features of the steps that follow. After a wrong guess the weights of the right label grow by 1
and those of the guessed one fall by 1. Predictions use the mean of the weights over all steps of training.

Features are made of exactly what a network is given: the tokens of the step (the word, and its affixes where the task
has them), the words before it, and for a bidirectional network the words after it. Probabilities are the softmax of the
scores at one temperature, chosen on the validation part.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from study.opponents.contract import Fitted, choose
from study.tasks import Batch, Task
from study.tasks.batches import Buckets, Sentences

EPOCHS = 10
"""Of training; the one after which the validation part is predicted best is kept."""
SIDE_BY_SIDE = 64
"""Sentences whose features are made together."""
PAIR = 1 << 31
"""More than there are words, so that every pair has a code of its own."""
UNKNOWN = 0
"""Row of the weights for features that the training part does not have: always zero."""

Array = np.ndarray
Codes = TypeVar("Codes", int, Array)


def shifted(values: Array, lengths: Array, back: int, outside: int = 0) -> Array:
    """What stands `back` steps earlier (below 0: later) in the same sentence; `outside` where there is nothing.

    Args:
        values: (time, batch).
        lengths: of the sentences.
        back: steps.
        outside: filled in.
    """
    time = np.arange(len(values))[:, None] - back
    moved = np.take_along_axis(values, np.broadcast_to(time.clip(0, len(values) - 1), values.shape), 0)
    return np.where((time >= 0) & (time < lengths), moved, outside)


def word_features(batch: Batch, ahead: bool) -> list[Array]:
    """Codes (time, batch) of every feature made of words, the word itself first."""
    tokens, lengths = batch.inputs.numpy(), batch.lengths.numpy()
    words, *affixes = np.moveaxis(tokens if tokens.ndim == 3 else tokens[..., None], -1, 0)
    words = words + 1  # 0: no word
    one, two = shifted(words, lengths, 1), shifted(words, lengths, 2)
    codes = [words, one, two, one * PAIR + words, two * PAIR + one, *affixes]
    if not ahead:
        return codes
    next_one, next_two = shifted(words, lengths, -1), shifted(words, lengths, -2)
    return [*codes, next_one, next_two, words * PAIR + next_one, next_one * PAIR + next_two]


def label_features(word: Codes, one: Codes, two: Codes, three: Codes, classes: int) -> tuple[Codes, ...]:
    """Codes of every feature made of the last three labels (`classes`: there is none), the latest first."""
    base = classes + 1
    return one, two * base + one, (three * base + two) * base + one, one * PAIR + word


class Numbering:
    """Rows of the weights for the codes of one feature that the training part has."""

    def __init__(self, codes: Array, first: int):
        self._codes, self._first = np.unique(codes), first
        self.next = first + len(self._codes)
        self.table = dict(zip(self._codes.tolist(), range(first, self.next), strict=True))

    def rows(self, codes: Array) -> Array:
        """The row of every code."""
        places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        return np.where(self._codes[places] == codes, places + self._first, UNKNOWN)


class Examples(NamedTuple):
    """The training part, sentences end to end.

    Attributes:
        words: codes (features, steps), as of `word_features`.
        labels: codes (features, steps), as of `label_features`, of the true labels.
        targets: true labels.
        lengths: of the sentences.
    """

    words: Array
    labels: Array
    targets: Array
    lengths: Array


def read(sentences: Sentences, classes: int, ahead: bool) -> Examples:
    """The codes of all features of sentences, the longest first."""
    words, history, targets, order = [], [], [], []
    for batch in Buckets(sentences, SIDE_BY_SIDE, None).epoch(0):
        mask, true, sizes = _mask(batch).T, batch.targets.numpy(), batch.lengths.numpy()
        codes = word_features(batch, ahead)
        one, two, three = (shifted(true, sizes, back, classes) for back in (1, 2, 3))
        words.append(np.stack([code.T[mask] for code in codes]))
        history.append(np.stack([code.T[mask] for code in label_features(codes[0], one, two, three, classes)]))
        targets.append(true.T[mask])
        order.append(sizes)
    return Examples(
        np.concatenate(words, 1), np.concatenate(history, 1), np.concatenate(targets), np.concatenate(order)
    )


def _mask(batch: Batch) -> Array:
    return np.ones(batch.targets.shape, bool) if batch.mask is None else batch.mask.numpy()


class Perceptron(Fitted):
    """Averaged weights (rows, classes) and the numberings of the features; see the module."""

    def __init__(self, words: list[Numbering], labels: list[Numbering], weights: Array, ahead: bool):
        self._words, self._labels, self._weights, self.reads_ahead = words, labels, weights, ahead
        self._temperature = 1.0
        self.label = "averaged perceptron, both ways" if ahead else "averaged perceptron"

    def predict(self, batch: Batch, before: Tensor) -> Tensor:
        """See `Fitted`."""
        return (self.scores(batch) / self._temperature).softmax(-1)

    def scores(self, batch: Batch) -> Tensor:
        """Scores (time, batch, classes) at every step, each after the guesses before it."""
        codes, weights = word_features(batch, self.reads_ahead), self._weights
        scores = sum(weights[numbering.rows(code)] for numbering, code in zip(self._words, codes, strict=True))
        assert isinstance(scores, np.ndarray)
        classes = weights.shape[1]
        one, two, three = np.full((3, scores.shape[1]), classes)
        for score, word in zip(scores, codes[0], strict=True):
            for numbering, code in zip(self._labels, label_features(word, one, two, three, classes), strict=True):
                np.add(score, weights[numbering.rows(code)], out=score)
            one, two, three = score.argmax(-1), one, two
        return torch.from_numpy(scores)

    def calibrate(self, task: Task) -> None:
        """Choose the temperature at which the validation part has the fewest nats."""
        nameable = task.metrics().nameable
        batches = [nameable(batch) for batch in task.batches("val").epoch(0)]
        masks = [torch.from_numpy(_mask(batch)) for batch in batches]
        scores = torch.cat([self.scores(batch)[mask] for batch, mask in zip(batches, masks, strict=True)])
        targets = torch.cat([batch.targets[mask] for batch, mask in zip(batches, masks, strict=True)])

        def nats(log_temperature: float) -> float:
            return float(torch.nn.functional.cross_entropy(scores / np.exp(log_temperature), targets))

        self._temperature = float(np.exp(minimize_scalar(nats, bounds=(-5, 10), method="bounded").x))


class Training:
    """The weights while they are learnt, one sentence after another.

    Every weight is a whole number, so that scores are exact and the same on every machine.
    """

    def __init__(self, examples: Examples, classes: int):
        self._examples, self._classes = examples, classes
        self.words: list[Numbering] = []
        self.labels: list[Numbering] = []
        free = UNKNOWN + 1
        for codes, numberings in ((examples.words, self.words), (examples.labels, self.labels)):
            for code in codes:
                numberings.append(Numbering(code, free))
                free = numberings[-1].next
        self._rows = np.stack([n.rows(code) for n, code in zip(self.words, examples.words, strict=True)], 1)
        self._weights, self._sums = np.zeros((free, classes), np.float32), np.zeros((free, classes))
        self.sentences, self._steps = len(examples.lengths), 0

    def epoch(self, order: Array) -> None:
        """Learn every sentence once."""
        ends = self._examples.lengths.cumsum()
        for first, stop in zip((ends - self._examples.lengths)[order].tolist(), ends[order].tolist(), strict=True):
            self._sentence(first, stop)

    def _sentence(self, first: int, stop: int) -> None:
        weights, tables = self._weights, [(numbering.table, i) for i, numbering in enumerate(self.labels)]
        words, targets = self._examples.words[0, first:stop].tolist(), self._examples.targets[first:stop].tolist()
        one = two = three = self._classes
        row = np.empty(len(tables) + self._rows.shape[1], np.int64)  # one for all steps: this loop takes all the time
        given = row[len(tables) :]
        for rows, word, target in zip(self._rows[first:stop], words, targets, strict=True):
            given[:] = rows
            codes = label_features(word, one, two, three, self._classes)
            for table, i in tables:
                row[i] = table.get(codes[i], UNKNOWN)
            guess = int(weights.take(row, 0).sum(0).argmax())
            if guess != target:
                self._correct(row, target, guess)
            self._steps += 1
            one, two, three = guess, one, two

    def _correct(self, row: Array, target: int, guess: int) -> None:
        for values, change in ((self._weights, 1), (self._sums, self._steps)):
            values[row, target] += change
            values[row, guess] -= change
            values[UNKNOWN] = 0

    def averaged(self) -> Array:
        """The mean of the weights after each step so far: a change at step s (from 0) is missing from the s before."""
        return (self._weights - self._sums / self._steps).astype(np.float32)


def fit(task: Task) -> Perceptron:
    """From the words up to the step."""
    return _fit(task, ahead=False)


def fit_both_ways(task: Task) -> Perceptron:
    """Also from the words after the step."""
    return _fit(task, ahead=True)


def _fit(task: Task, ahead: bool) -> Perceptron:
    tokens, labels, lengths = task.batches("train").tensors()
    sentences = Sentences(tokens[:-1], labels[:-1], lengths)  # what comes last is padding
    training = Training(read(sentences, task.targets, ahead), task.targets)
    best = choose(_epochs(training, ahead), task)
    best.calibrate(task)
    return best


def _epochs(training: Training, ahead: bool) -> Iterator[Perceptron]:
    """The averaged perceptron after every epoch, sentences in a new order each time."""
    draws = np.random.default_rng(0)
    for _ in range(EPOCHS):
        training.epoch(draws.permutation(training.sentences))
        yield Perceptron(training.words, training.labels, training.averaged(), ahead)
