"""Every loss against its formula, worked out number by number in Python's floats."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from study.errors import ConfigError
from study.learning import losses
from study.learning.losses import Loss
from study.schema.loss import LOSSES

TIME, WIDTH, SIZES = 5, 3, {"mse": 2, "binary_cross_entropy": 2, "one_vs_rest": 4, "cross_entropy": 4}
LENGTHS = (5, 3, 1)
MASK = torch.arange(TIME)[:, None] < torch.tensor(LENGTHS)


@pytest.fixture(autouse=True)
def _double_precision(_plain_torch: None) -> None:
    torch.set_default_dtype(torch.float64)


def build(name: str, over_time: str = "mean") -> Loss:
    return losses.build(LOSSES.config(name).model_validate({"name": name, "over_time": over_time}))


def draw(name: str, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Outputs and targets."""
    outputs = scale * torch.randn(TIME, WIDTH, build(name).outputs(SIZES[name]))
    if name == "mse":
        return outputs, torch.randn(TIME, WIDTH, SIZES[name])
    return outputs, torch.randint(SIZES[name], (TIME, WIDTH))


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def softmax(logits: list[float]) -> list[float]:
    return [math.exp(a) / sum(map(math.exp, logits)) for a in logits]


def binary(a: float, y: float) -> float:
    return -(y * math.log(sigmoid(a)) + (1 - y) * math.log(1 - sigmoid(a)))


FORMULAS: dict[str, Callable[[list[float], Any], float]] = {
    "mse": lambda outputs, y: sum((a - b) ** 2 for a, b in zip(outputs, y, strict=True)) / len(y),
    "binary_cross_entropy": lambda outputs, y: binary(outputs[0], y),
    "one_vs_rest": lambda outputs, y: sum(binary(a, float(c == y)) for c, a in enumerate(outputs)),
    "cross_entropy": lambda outputs, y: -math.log(softmax(outputs)[y]),
}


def terms(name: str, outputs: Tensor, targets: Tensor) -> list[list[float]]:
    """The formula at every real step, a list a sequence."""
    pairs = [(outputs[:length, b].tolist(), targets[:length, b].tolist()) for b, length in enumerate(LENGTHS)]
    return [[FORMULAS[name](o, y) for o, y in zip(*pair, strict=True)] for pair in pairs]


def value(loss: Loss, outputs: Tensor, targets: Tensor, mask: Tensor | None = MASK) -> Tensor:
    steps = TIME * WIDTH if mask is None else int(mask.sum())
    return loss.total(outputs, targets, mask) / loss.normaliser(WIDTH, steps)


@pytest.mark.parametrize("name", LOSSES)
def test_every_step_has_the_loss_of_the_formula(name: str) -> None:
    outputs, targets = draw(name)
    found = build(name).per_step(outputs, targets)
    for b, sequence in enumerate(terms(name, outputs, targets)):
        assert found[: LENGTHS[b], b].tolist() == pytest.approx(sequence, rel=1e-10)


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_is_over_real_steps_and_the_sum_over_time_is_a_mean_over_sequences(name: str) -> None:
    outputs, targets = draw(name)
    sequences = terms(name, outputs, targets)
    total = sum(map(sum, sequences))
    assert value(build(name, "mean"), outputs, targets).item() == pytest.approx(total / sum(LENGTHS), rel=1e-10)
    assert value(build(name, "sum"), outputs, targets).item() == pytest.approx(total / WIDTH, rel=1e-10)


@pytest.mark.parametrize("name", LOSSES)
def test_without_padding_the_sum_is_the_length_times_the_mean_and_so_is_its_gradient(name: str) -> None:
    outputs, targets = draw(name)
    outputs.requires_grad_()
    mean, total = (value(build(name, kind), outputs, targets, None) for kind in ("mean", "sum"))
    torch.testing.assert_close(total, TIME * mean)
    slopes = [torch.autograd.grad(loss, outputs, retain_graph=True)[0] for loss in (mean, total)]
    torch.testing.assert_close(slopes[1], TIME * slopes[0])


@pytest.mark.parametrize("over_time", ["mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
def test_padding_changes_no_bit_and_gets_no_gradient(name: str, over_time: str) -> None:
    outputs, targets = draw(name)
    loss, found = build(name, over_time), []
    for shift in (0.0, 1e6):
        padded = (outputs + shift * ~MASK[..., None]).requires_grad_()
        other = torch.where(MASK.view(MASK.shape + (1,) * (targets.ndim - 2)), targets, targets * 0)
        result = value(loss, padded, targets if shift else other)
        (slope,) = torch.autograd.grad(result, padded)
        assert not slope[~MASK].any()
        found.append((result.detach(), slope))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda a, y: 2 * (a - y) / a.shape[-1],
    "binary_cross_entropy": lambda a, y: a.sigmoid() - y[..., None],
    "one_vs_rest": lambda a, y: a.sigmoid() - torch.eye(a.shape[-1])[y],
    "cross_entropy": lambda a, y: a.softmax(-1) - torch.eye(a.shape[-1])[y],
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_is_prediction_minus_target(name: str) -> None:
    outputs, targets = draw(name)
    outputs.requires_grad_()
    (slope,) = torch.autograd.grad(build(name).total(outputs, targets, None), outputs)
    torch.testing.assert_close(slope, SLOPES[name](outputs, targets).detach())


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "mse"])
def test_classification_losses_stay_finite_at_extreme_logits_and_grow_linearly(name: str) -> None:
    outputs, targets = draw(name, scale=1e5)
    found = build(name).per_step(outputs, targets)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(build(name).per_step(2 * outputs, targets), 2 * found)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "mse"])
def test_predictions_are_probabilities_of_every_class(name: str) -> None:
    outputs, _ = draw(name, scale=3.0)
    predictions = build(name).predict(outputs)
    assert predictions.shape == (TIME, WIDTH, SIZES[name])
    assert (predictions >= 0).all()
    torch.testing.assert_close(predictions.sum(-1), torch.ones(TIME, WIDTH))


def test_the_prediction_of_two_classes_is_the_sigmoid_of_the_logit() -> None:
    predictions = build("binary_cross_entropy").predict(torch.tensor([[[-1.0], [0.0], [2.0]]]))
    assert predictions[0, :, 1].tolist() == pytest.approx([sigmoid(a) for a in (-1.0, 0.0, 2.0)])


def test_two_class_cross_entropy_of_logits_0_and_a_is_binary_cross_entropy_of_a() -> None:
    outputs, targets = draw("binary_cross_entropy")
    both = torch.cat([torch.zeros_like(outputs), outputs], -1)
    expected = build("cross_entropy").per_step(both, targets)
    torch.testing.assert_close(build("binary_cross_entropy").per_step(outputs, targets), expected)


@pytest.mark.parametrize("size", [1, 3, 17])
def test_binary_cross_entropy_refuses_data_of_other_than_two_classes(size: int) -> None:
    with pytest.raises(ConfigError, match=rf"loss.name = 'binary_cross_entropy'.*2 classes.*{size}"):
        build("binary_cross_entropy").outputs(size)
