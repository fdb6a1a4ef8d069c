"""One contract for every loss there is, then each against its formula, number by number in Python's floats."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from statistics import NormalDist
from typing import Any

import pytest
import torch
from torch import Tensor

from study.errors import ConfigError
from study.learning import losses
from study.learning.losses import Loss, StepLoss
from study.schema.loss import LOSSES, LossConfig
from study.schema.task import Kind
from study.testing.configs import ConfigContract
from study.testing.losses import LENGTHS, SIZES, LossContract, MakeLoss, draw
from tests.composed import member

FITTING: list[tuple[str, Kind]] = [(name, kind) for name in LOSSES for kind in LOSSES.config(name).fits]

configured = partial(member, LOSSES, "loss")


def build(name: str) -> Loss:
    return losses.build(configured(name))


def steps_of(name: str) -> StepLoss:
    loss = build(name)
    assert isinstance(loss, StepLoss)
    return loss


class TestLosses(LossContract):
    @pytest.fixture(params=FITTING, ids="-".join)
    def member(self, request: pytest.FixtureRequest) -> tuple[str, Kind]:
        member: tuple[str, Kind] = request.param
        return member

    @pytest.fixture
    def make_loss(self, member: tuple[str, Kind]) -> MakeLoss:
        return lambda over_time: losses.build(configured(member[0], over_time=over_time))

    @pytest.fixture
    def kind(self, member: tuple[str, Kind]) -> Kind:
        return member[1]


class TestLossConfigs(ConfigContract):
    @pytest.fixture(params=LOSSES)
    def config(self, request: pytest.FixtureRequest) -> LossConfig:
        return configured(request.param)


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def softmax(logits: list[float]) -> list[float]:
    return [math.exp(a) / sum(map(math.exp, logits)) for a in logits]


def binary(a: float, y: float) -> float:
    return -(y * math.log(sigmoid(a)) + (1 - y) * math.log(1 - sigmoid(a)))


def mean(terms: Iterable[float]) -> float:
    values = list(terms)
    return sum(values) / len(values)


def huber(e: float) -> float:
    return e**2 / 2 if abs(e) <= 1 else abs(e) - 1 / 2


def pinball(outputs: list[float], y: list[float]) -> float:
    levels = (0.05, 0.5, 0.95)
    errors = [(q, y[j] - outputs[3 * j + i]) for j in range(len(y)) for i, q in enumerate(levels)]
    return mean(q * e if e > 0 else (q - 1) * e for q, e in errors)


def gaussian(outputs: list[float], y: list[float]) -> float:
    means, variances = outputs[: len(y)], [math.exp(s) for s in outputs[len(y) :]]
    densities = [NormalDist(m, math.sqrt(v)).pdf(z) for m, v, z in zip(means, variances, y, strict=True)]
    return mean(-math.log(density) for density in densities)


def qlike(a: float, y: float) -> float:
    ratio = math.exp(y) ** 2 / math.exp(a) ** 2
    return ratio - math.log(ratio) - 1


def focal(outputs: list[float], y: int) -> float:
    p = softmax(outputs)[y]
    return -((1 - p) ** 2) * math.log(p)


def brier(outputs: list[float], y: int) -> float:
    return sum((p - (c == y)) ** 2 for c, p in enumerate(softmax(outputs)))


FORMULAS: dict[tuple[str, Kind], Callable[[list[float], Any], float]] = {
    ("mse", "regression"): lambda outputs, y: sum((a - b) ** 2 for a, b in zip(outputs, y, strict=True)) / len(y),
    ("mae", "regression"): lambda outputs, y: mean(abs(a - b) for a, b in zip(outputs, y, strict=True)),
    ("huber", "regression"): lambda outputs, y: mean(huber(a - b) for a, b in zip(outputs, y, strict=True)),
    ("pinball", "regression"): pinball,
    ("gaussian_nll", "regression"): gaussian,
    ("qlike", "regression"): lambda outputs, y: mean(qlike(a, b) for a, b in zip(outputs, y, strict=True)),
    ("binary_cross_entropy", "binary"): lambda outputs, y: binary(outputs[0], y),
    ("one_vs_rest", "multiclass"): lambda outputs, y: sum(binary(a, float(c == y)) for c, a in enumerate(outputs)),
    ("cross_entropy", "multiclass"): lambda outputs, y: -math.log(softmax(outputs)[y]),
    ("cross_entropy", "binary"): lambda outputs, y: -math.log(softmax(outputs)[y]),
    **{("focal", kind): focal for kind in ("multiclass", "binary")},
    **{("brier", kind): brier for kind in ("multiclass", "binary")},
}


def test_every_loss_of_steps_has_its_formula_here() -> None:
    assert set(FORMULAS) == {(name, kind) for name, kind in FITTING if isinstance(build(name), StepLoss)}


@pytest.mark.parametrize(("name", "kind"), FORMULAS)
def test_every_step_has_the_loss_of_the_formula(name: str, kind: Kind) -> None:
    outputs, targets = draw(build(name), kind)
    found = steps_of(name).per_step(outputs, targets)
    for b, length in enumerate(LENGTHS):
        steps = zip(outputs[:length, b].tolist(), targets[:length, b].tolist(), strict=True)
        expected = [FORMULAS[name, kind](given, wanted) for given, wanted in steps]
        assert found[:length, b].tolist() == pytest.approx(expected, rel=1e-10)


SLOPES: dict[tuple[str, Kind], Callable[[Tensor, Tensor], Tensor]] = {
    ("mse", "regression"): lambda a, y: 2 * (a - y) / a.shape[-1],
    ("binary_cross_entropy", "binary"): lambda a, y: a.sigmoid() - y[..., None],
    ("one_vs_rest", "multiclass"): lambda a, y: a.sigmoid() - torch.eye(a.shape[-1], dtype=a.dtype)[y],
    ("cross_entropy", "multiclass"): lambda a, y: a.softmax(-1) - torch.eye(a.shape[-1], dtype=a.dtype)[y],
}


@pytest.mark.parametrize(("name", "kind"), SLOPES)
def test_the_gradient_is_prediction_minus_target(name: str, kind: Kind) -> None:
    outputs, targets = draw(build(name), kind)
    outputs.requires_grad_()
    (slope,) = torch.autograd.grad(build(name).total(outputs, targets, None), outputs)
    torch.testing.assert_close(slope, SLOPES[name, kind](outputs, targets).detach())


@pytest.mark.parametrize("name", ["binary_cross_entropy", "one_vs_rest", "cross_entropy"])
def test_a_cross_entropy_grows_linearly_with_extreme_logits(name: str) -> None:
    (kind, *_), loss = configured(name).fits, steps_of(name)
    outputs, targets = draw(loss, kind, scale=1e5)
    torch.testing.assert_close(loss.per_step(2 * outputs, targets), 2 * loss.per_step(outputs, targets))


def test_the_prediction_of_two_classes_is_the_sigmoid_of_the_logit() -> None:
    predictions = build("binary_cross_entropy").predict(torch.tensor([[[-1.0], [0.0], [2.0]]]))
    assert predictions[0, :, 1].tolist() == pytest.approx([sigmoid(a) for a in (-1.0, 0.0, 2.0)])


def test_two_class_cross_entropy_of_logits_0_and_a_is_binary_cross_entropy_of_a() -> None:
    outputs, targets = draw(build("binary_cross_entropy"), "binary")
    both = torch.cat([torch.zeros_like(outputs), outputs], -1)
    expected = steps_of("cross_entropy").per_step(both, targets)
    torch.testing.assert_close(steps_of("binary_cross_entropy").per_step(outputs, targets), expected)


@pytest.mark.parametrize("size", [1, 3, 17])
def test_binary_cross_entropy_refuses_data_of_other_than_two_classes(size: int) -> None:
    with pytest.raises(ConfigError, match=rf"loss.name = 'binary_cross_entropy'.*2 classes.*{size}"):
        build("binary_cross_entropy").outputs(size)


class Leaky(losses.StepLoss):
    """Breaks the contract: its steps are compared with the mean of all."""

    def per_step(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - outputs.mean() - targets).square().mean(-1)

    def outputs(self, size: int) -> int:
        return size

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        return outputs


@pytest.mark.parametrize(
    "claim",
    [
        LossContract.test_a_loss_of_steps_can_be_cut_into_windows_and_no_other_can,
        lambda suite, make, kind: suite.test_padding_changes_no_bit_and_gets_no_gradient(make, kind, "mean"),
    ],
)
def test_the_contract_catches_a_loss_that_breaks_it(claim: Callable[..., None]) -> None:
    with pytest.raises(AssertionError):
        claim(LossContract(), Leaky, "regression")


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_is_no_sum_over_steps_says_so_to_the_schema(name: str) -> None:
    assert configured(name).whole != isinstance(build(name), StepLoss)


def test_every_kind_of_targets_has_a_loss() -> None:
    assert {kind for _, kind in FITTING} == set(SIZES)
