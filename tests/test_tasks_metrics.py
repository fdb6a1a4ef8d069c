"""Claims about measures: each equals its textbook formula, written slowly in float64, padding left out."""

import math

import pytest
import torch
from torch import Tensor

from study.tasks import Batch
from study.tasks.baselines import Memoryless
from study.tasks.metrics import ForecastMetrics, LabellingMetrics, LanguageMetrics


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def ragged(time: int, width: int) -> Tensor:
    """A mask of sequences of 1..time steps."""
    lengths = torch.randint(1, time + 1, (width,), generator=generator())
    return torch.arange(time)[:, None] < lengths


def classified(classes: int, masked: bool) -> tuple[Tensor, Batch]:
    """Random probabilities and the batch they are for."""
    draws = generator()
    probabilities = torch.rand(9, 5, classes, generator=draws).softmax(-1)
    targets = torch.randint(classes, (9, 5), generator=draws)
    return probabilities, Batch(targets, targets, ragged(9, 5) if masked else None)


def real(batch: Batch) -> list[tuple[int, int]]:
    """(time, column) of every step that counts."""
    time, width = batch.targets.shape[:2]
    return [(t, b) for t in range(time) for b in range(width) if batch.mask is None or batch.mask[t, b]]


def mean_surprise(probabilities: Tensor, batch: Batch) -> float:
    steps = real(batch)
    return -sum(math.log(float(probabilities[t, b, batch.targets[t, b]])) for t, b in steps) / len(steps)


masked_or_not = pytest.mark.parametrize("masked", [True, False])


@masked_or_not
def test_nats_are_the_mean_surprise_and_perplexity_and_bits_follow_from_them(masked: bool) -> None:
    probabilities, batch = classified(6, masked)
    measures = LanguageMetrics(characters=True)
    measures.update(probabilities, batch)
    nats = mean_surprise(probabilities, batch)
    expected = {"nats": nats, "perplexity": math.exp(nats), "bpc": nats / math.log(2)}
    assert measures.compute() == pytest.approx(expected, rel=1e-5)


def test_a_class_held_impossible_costs_finitely_much() -> None:
    measures = LanguageMetrics(characters=True)
    measures.update(torch.tensor([[[1.0, 0.0]]]), Batch(torch.tensor([[0]]), torch.tensor([[1]])))
    assert math.isfinite(measures.compute()["nats"])


def test_diverged_predictions_give_measures_that_are_not_finite_instead_of_an_error() -> None:
    targets = torch.tensor([[0]])
    nowhere = torch.full((1, 1, 2), math.nan)
    for measures in (LanguageMetrics(characters=True), LabellingMetrics(2)):
        measures.update(nowhere, Batch(targets, targets))
        assert math.isnan(measures.compute()["nats"])
    forecast = ForecastMetrics(torch.ones(1), lambda batch: torch.zeros_like(batch.targets))
    forecast.update(nowhere[..., :1], Batch(torch.ones(1, 1, 1), torch.ones(1, 1, 1)))
    assert math.isnan(forecast.compute()["rmse"])


@masked_or_not
def test_accuracy_and_macro_f1_are_those_of_the_confusion_of_real_steps(masked: bool) -> None:
    classes = 4
    probabilities, batch = classified(classes, masked)
    confusion = [[0] * classes for _ in range(classes)]
    for t, b in real(batch):
        confusion[int(batch.targets[t, b])][int(probabilities[t, b].argmax())] += 1
    right = [confusion[c][c] for c in range(classes)]
    there, guessed = [sum(row) for row in confusion], [sum(row[c] for row in confusion) for c in range(classes)]
    f1 = [2 * right[c] / (there[c] + guessed[c]) for c in range(classes)]
    measures = LabellingMetrics(classes)
    measures.update(probabilities, batch)
    expected = {"accuracy": sum(right) / sum(there), "macro_f1": sum(f1) / classes}
    expected["nats"] = mean_surprise(probabilities, batch)
    assert measures.compute() == pytest.approx(expected, rel=1e-5)


@masked_or_not
def test_forecast_errors_are_in_the_targets_unit_and_skill_is_against_the_naive_error(masked: bool) -> None:
    draws, scale = generator(), 2.5
    targets, predictions = torch.randn(9, 5, 1, generator=draws), torch.randn(9, 5, 1, generator=draws)
    batch = Batch(targets, targets, ragged(9, 5) if masked else None)
    measures = ForecastMetrics(torch.tensor([scale]), lambda batch: torch.full_like(batch.targets, 0.3))
    measures.update(predictions, batch)
    errors = [float(predictions[t, b, 0] - targets[t, b, 0]) for t, b in real(batch)]
    naive = [float(0.3 - targets[t, b, 0]) for t, b in real(batch)]
    mse, naive_mse = (sum(e * e for e in es) / len(es) for es in (errors, naive))
    mae = sum(map(abs, errors)) / len(errors)
    expected = {"rmse": scale * math.sqrt(mse), "mae": scale * mae, "skill": 1 - mse / naive_mse}
    assert measures.compute() == pytest.approx(expected, rel=1e-5)


def test_the_memoryless_classifier_counts_what_followed_each_token() -> None:
    tokens, classes = torch.tensor([0, 0, 0, 1]), torch.tensor([2, 2, 1, 0])
    table = Memoryless(tokens, classes, (3, 3))(torch.tensor([[0, 1, 2]]))[0]
    shares = torch.tensor([2, 2, 3]) / 7
    counts = torch.tensor([[0.0, 1, 2], [1, 0, 0], [0, 0, 0]])
    torch.testing.assert_close(table, (counts + shares) / (counts.sum(1, keepdim=True) + 1))
    torch.testing.assert_close(table.sum(1), torch.ones(3))
