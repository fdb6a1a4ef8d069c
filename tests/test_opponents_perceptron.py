"""The averaged perceptron against a slow literal twin."""

from collections import defaultdict

import numpy as np
import pytest
import torch

from study import opponents, tasks
from study.opponents import perceptron
from study.tasks import Batch
from study.tasks.batches import Sentences
from tests.composed import configured


def sentences() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, labels and lengths; a label depends on the word and on the label before it."""
    draws = np.random.default_rng(1)
    lengths = draws.integers(1, 9, 40)
    words = draws.integers(0, 12, lengths.sum())
    labels, before = [], 0
    for word in words:
        before = int((word % 3 + before) % 3 if draws.random() < 0.9 else draws.integers(3))
        labels.append(before)
    return torch.tensor(words), torch.tensor(labels), torch.tensor(lengths)


class Twin:
    """The averaged perceptron from its definition: a dictionary of weights, summed up after every step."""

    def __init__(self, known: set):
        self.known, self.steps = known, 0
        self.weights: dict = defaultdict(float)
        self.total: dict = defaultdict(float)

    def score(self, weights: dict, features: list, label: int) -> float:
        return sum(weights[feature, label] for feature in features if feature in self.known)

    def learn(self, features: list, target: int, classes: int) -> int:
        guess = max(range(classes), key=lambda label: self.score(self.weights, features, label))
        if guess != target:
            for feature in self.known.intersection(features):
                self.weights[feature, target] += 1
                self.weights[feature, guess] -= 1
        for key, weight in self.weights.items():
            self.total[key] += weight
        self.steps += 1
        return guess


def described(words: list, i: int, labels: list, ahead: bool) -> list:
    """The features of step i by name; `labels` are those before it."""
    at = dict(enumerate(words))
    last = [*[None] * 3, *labels]
    found = [
        ("w", at[i]), ("w-1", at.get(i - 1)), ("w-2", at.get(i - 2)), ("w-1 w", at.get(i - 1), at[i]),
        ("w-2 w-1", at.get(i - 2), at.get(i - 1)), ("y-1", last[-1]), ("y-2 y-1", last[-2], last[-1]),
        ("y-3 y-2 y-1", *last[-3:]), ("y-1 w", last[-1], at[i]),
    ]  # fmt: skip
    later = [
        ("w+1", at.get(i + 1)), ("w+2", at.get(i + 2)), ("w w+1", at[i], at.get(i + 1)),
        ("w+1 w+2", at.get(i + 1), at.get(i + 2)),
    ]  # fmt: skip
    return [*found, *later] if ahead else found


@pytest.mark.parametrize("ahead", [False, True])
def test_the_perceptron_is_that_of_a_slow_literal_twin(ahead: bool) -> None:
    tokens, labels, lengths = sentences()
    training = perceptron.Training(perceptron.read(Sentences(tokens, labels, lengths), 3, ahead), 3)
    order = np.argsort(-lengths.numpy(), kind="stable")  # as it is read
    parts = [(tokens.split(lengths.tolist())[i].tolist(), labels.split(lengths.tolist())[i].tolist()) for i in order]
    known = {f for words, true in parts for i in range(len(words)) for f in described(words, i, true[:i], ahead)}
    twin = Twin(known)
    for epoch in range(2):
        shuffled = np.random.default_rng(epoch).permutation(len(parts))
        training.epoch(shuffled)
        for words, true in (parts[i] for i in shuffled):
            guesses: list[int] = []
            for i, target in enumerate(true):
                guesses.append(twin.learn(described(words, i, guesses, ahead), target, 3))
    averaged = perceptron.Perceptron(training.words, training.labels, training.averaged(), ahead)
    mean = defaultdict(float, {key: total / twin.steps for key, total in twin.total.items()})
    for words in ([0, 5, 3, 11, 3, 2, 7], [1], [13, 0, 13]):  # 13 was never seen
        batch = Batch(torch.tensor(words)[:, None], torch.zeros(len(words), 1, dtype=torch.int64))
        found, guesses = averaged.scores(batch)[:, 0], []
        for i in range(len(words)):
            features = described(words, i, guesses, ahead)
            expected = [twin.score(mean, features, label) for label in range(3)]
            np.testing.assert_allclose(found[i], expected, atol=1e-5)
            guesses.append(int(found[i].argmax()))


def test_affixes_are_features_only_where_the_task_has_them() -> None:
    alone = Batch(torch.zeros(4, 2, dtype=torch.int64), torch.zeros(4, 2, dtype=torch.int64))
    affixed = alone._replace(inputs=torch.zeros(4, 2, 3, dtype=torch.int64))
    assert len(perceptron.word_features(affixed, False)) == len(perceptron.word_features(alone, False)) + 2


def test_the_temperature_is_the_best_on_the_validation_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptron, "EPOCHS", 2)
    config = configured("labelling_hironsan_ner")
    task = tasks.build(config.task, config.data, 0)
    fitted = opponents.fit("perceptron", task)
    assert isinstance(fitted, perceptron.Perceptron)
    best = opponents.measure(fitted, task, "val")
    for factor in (0.8, 1.25):
        monkeypatch.setattr(fitted, "_temperature", fitted._temperature * factor)
        other = opponents.measure(fitted, task, "val")
        assert other["nats"] > best["nats"]
        assert other["accuracy"] == best["accuracy"]
        monkeypatch.setattr(fitted, "_temperature", fitted._temperature / factor)
