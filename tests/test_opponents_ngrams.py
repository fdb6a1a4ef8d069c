"""N-grams against slow literal twins."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from study import opponents, tasks
from study.opponents import kneser_ney, witten_bell
from study.opponents.ngrams import Grams, Interpolated, NgramLevel, next_order
from study.tasks.batches import Stream
from study.tasks.metrics import LanguageMetrics
from tests.composed import configured

VOCABULARY = 5


def text(length: int = 300) -> list[int]:
    """A text in which the next token depends on two before it, and token 4 never comes."""
    draws, tokens = np.random.default_rng(0), [0, 1]
    for _ in range(length - 2):
        tokens.append(int((tokens[-1] + tokens[-2]) % 4 if draws.random() < 0.7 else draws.integers(4)))
    return tokens


def grams(tokens: Sequence[int], order: int) -> list[Grams]:
    found: list[Grams] = []
    for _ in range(order):
        found.append(next_order(np.array(tokens), VOCABULARY, found[-1] if found else None))
    return found


def occurrences(tokens: Sequence[int], order: int) -> Counter:
    return Counter(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))


def literal_witten_bell(tokens: Sequence[int]) -> Callable[[tuple[int, ...], int], float]:
    def p(context: tuple[int, ...], word: int, order: int) -> float:
        if order == 0:
            return 1 / VOCABULARY
        counts = occurrences(tokens, order)
        following = {w: c for (*h, w), c in counts.items() if tuple(h) == context}
        shorter = p(context[1:], word, order - 1)
        if not following:
            return shorter
        total, kinds = sum(following.values()), len(following)
        return (following.get(word, 0) + kinds * shorter) / (total + kinds)

    return lambda context, word: p(context, word, len(context) + 1)


def literal_kneser_ney(tokens: Sequence[int], highest: int) -> Callable[[tuple[int, ...], int], float]:
    def counts_of(order: int) -> dict[tuple[int, ...], int]:
        if order == highest:
            return occurrences(tokens, order)
        before = defaultdict(set)
        for first, *rest in occurrences(tokens, order + 1):
            before[tuple(rest)].add(first)
        return {gram: len(before[gram]) for gram in occurrences(tokens, order)}

    def discounts(counts: dict[tuple[int, ...], int]) -> list[float]:
        n = [sum(c == k for c in counts.values()) for k in range(5)]
        if not (n[1] and n[2] and n[3]):
            return [0, 0.5, 0.5, 0.5]
        y = n[1] / (n[1] + 2 * n[2])
        raw = [k - (k + 1) * y * n[k + 1] / n[k] if k else 0 for k in range(4)]
        return [min(max(d, 0), k) for k, d in enumerate(raw)]

    def p(context: tuple[int, ...], word: int, order: int) -> float:
        if order == 0:
            return 1 / VOCABULARY
        counts = counts_of(order)
        d = discounts(counts)
        following = {w: c for (*h, w), c in counts.items() if tuple(h) == context}
        shorter = p(context[1:], word, order - 1)
        if not sum(following.values()):
            return shorter
        count, kept = following.get(word, 0), sum(d[min(c, 3)] for c in following.values())
        return (count - d[min(count, 3)] + kept * shorter) / sum(following.values())

    return lambda context, word: p(context, word, len(context) + 1)


TWINS: dict[str, tuple[Callable[[Sequence[Grams]], list[NgramLevel]], Callable]] = {
    "Witten-Bell": (witten_bell.witten_bell, lambda tokens, order: literal_witten_bell(tokens)),
    "Kneser-Ney": (kneser_ney.kneser_ney, literal_kneser_ney),
}
every_smoothing = pytest.mark.parametrize("name", list(TWINS))


@every_smoothing
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_ngrams_are_those_of_a_slow_literal_twin(name: str, order: int) -> None:
    smoothing, twin = TWINS[name]
    tokens, other = text(), [*text(40)[::-1], 4, 4, 0, 1]
    model = Interpolated(smoothing(grams(tokens, order)), VOCABULARY, name)
    batch = next(Stream(torch.tensor([*other, 0]), len(other), 1).epoch(0))
    found, p = model.predict(batch, batch.inputs[:0])[:, 0], twin(tokens, order)
    for step in range(len(other)):
        context = tuple(other[max(0, step + 2 - order) : step + 1]) if order > 1 else ()
        if len(context) < order - 1 and name == "Kneser-Ney":
            continue  # its shorter contexts are those of the lower orders of the whole model
        expected = [p(context, word) for word in range(VOCABULARY)]
        np.testing.assert_allclose(found[step], expected, rtol=1e-5)


@every_smoothing
def test_probabilities_of_the_whole_vocabulary_sum_to_one_and_none_is_zero(name: str) -> None:
    model = Interpolated(TWINS[name][0](grams(text(), 3)), VOCABULARY, name)
    batch = next(Stream(torch.randint(VOCABULARY, (801,)), 100, 8).epoch(0))
    found = model.predict(batch, batch.inputs[:0])
    torch.testing.assert_close(found.sum(-1), torch.ones(100, 8))
    assert (found > 0).all()


@every_smoothing
def test_the_probability_of_the_token_that_came_is_that_of_the_dense_predictions(name: str) -> None:
    model = Interpolated(TWINS[name][0](grams(text(), 4)), VOCABULARY, name)
    batches = list(Stream(torch.randint(VOCABULARY, (801,)), 30, 8).epoch(0))
    before, dense, fast = batches[0].inputs[-2:], LanguageMetrics(True), LanguageMetrics(True)
    chosen = model.chosen(batches[1], before)
    predicted = model.predict(batches[1], before)
    torch.testing.assert_close(chosen, predicted.gather(-1, batches[1].targets[..., None])[..., 0])
    dense.update(predicted, batches[1])
    model.count(fast, batches[1], before)
    assert fast.compute() == pytest.approx(dense.compute(), rel=1e-6)


def test_the_larger_order_is_chosen_while_the_validation_part_gains(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("".join("abcd"[token] for token in text(40_000)))
    config = configured("language_text", f"task.path={tmp_path}/own.txt", "task.batch_size=4")
    task = tasks.build(config.task, config.data, 0)
    for name in ("witten_bell", "kneser_ney"):
        fitted = opponents.fit(name, task)
        assert fitted.label.endswith("3-gram")  # two tokens decide
        nats = opponents.measure(fitted, task, "test")["nats"]
        entropy = -(0.775 * math.log(0.775) + 3 * 0.075 * math.log(0.075))
        assert nats == pytest.approx(entropy, rel=0.05)
