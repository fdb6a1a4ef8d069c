"""One contract for every clip policy there is, then each policy's own formula."""

import math

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from study.command import CONF
from study.learning import clipping
from study.learning.clipping import Clip
from study.schema.clip import CLIPS

POLICIES = sorted(path.stem for path in (CONF / "clip").glob("*.yaml"))
SHAPES = [(3, 4), (5,), (2, 2, 2)]


def build(name: str, threshold: float = 1.0) -> Clip:
    values = OmegaConf.to_container(OmegaConf.load(CONF / "clip" / f"{name}.yaml"))
    assert isinstance(values, dict)
    if "threshold" in values:
        values["threshold"] = threshold
    return clipping.build(CLIPS.config(values["name"]).model_validate(values))


def draw(scale: float = 1.0) -> list[Tensor]:
    return [scale * torch.randn(shape) for shape in SHAPES]


def norm(gradients: list[Tensor]) -> float:
    return math.sqrt(sum(float(g.double().square().sum()) for g in gradients))


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-3, 1.0, 1e3, 1e25])
@pytest.mark.parametrize("threshold", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("name", POLICIES)
def test_the_norms_told_are_those_found_and_left(name: str, threshold: float, scale: float) -> None:
    gradients = draw(scale)
    before, each = norm(gradients), [norm([g]) for g in gradients]
    clipped = build(name, threshold)(gradients)
    assert clipped.parameters.tolist() == pytest.approx(each, rel=1e-5, abs=0)
    assert clipped.total.item() == pytest.approx(before, rel=1e-5, abs=0)
    assert clipped.applied.item() == pytest.approx(norm(gradients), rel=1e-5, abs=0)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 1e3, 1e25])
@pytest.mark.parametrize("threshold", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("name", POLICIES)
def test_clipping_never_raises_the_norm(name: str, threshold: float, scale: float) -> None:
    gradients = draw(scale)
    before = [g.clone() for g in gradients]
    clipped = build(name, threshold)(gradients)
    assert clipped.applied <= clipped.total
    assert all((g.abs() <= b.abs()).all() for g, b in zip(gradients, before, strict=True))


@pytest.mark.parametrize("name", POLICIES)
def test_a_threshold_that_never_acts_changes_no_bit(name: str) -> None:
    gradients = draw(1e-3)
    before = [g.clone() for g in gradients]
    clipped = build(name, 100.0)(gradients)
    assert all(torch.equal(g, b) for g, b in zip(gradients, before, strict=True))
    assert torch.equal(clipped.total, clipped.applied)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", POLICIES)
def test_what_is_not_finite_passes_into_the_norms_and_raises_nothing(name: str, bad: float) -> None:
    gradients = draw()
    gradients[1][2] = bad
    clipped = build(name, 1.0)(gradients)
    expected = math.nan if math.isnan(bad) else math.inf
    for found in (clipped.total.item(), clipped.parameters[1].item()):
        assert found == pytest.approx(expected, nan_ok=True)
    assert torch.isfinite(clipped.parameters[[0, 2]]).all()


@pytest.mark.parametrize("name", POLICIES)
def test_one_parameter_alone_is_clipped_too(name: str) -> None:
    gradients = [torch.full((4,), 3.0)]
    clipped = build(name, 1e-2)(gradients)
    assert clipped.parameters.shape == (1,)
    assert clipped.applied.item() == pytest.approx(norm(gradients))


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e25])
def test_clipping_by_norm_keeps_the_direction_and_lands_on_the_threshold(scale: float) -> None:
    gradients = draw(scale)
    before = [g.clone() for g in gradients]
    build("norm", 0.5)(gradients)
    assert norm(gradients) == pytest.approx(0.5, rel=1e-5)
    ratios = torch.cat([(g / b).flatten() for g, b in zip(gradients, before, strict=True)])
    torch.testing.assert_close(ratios, ratios[:1].expand_as(ratios))


@pytest.mark.parametrize("threshold", [0.1, 1.0, 1e3])
def test_clipping_agrees_with_torch(threshold: float) -> None:
    for name, function in (("norm", clip_grad_norm_), ("value", clip_grad_value_)):
        gradients = draw()
        parameters = [torch.nn.Parameter(torch.zeros_like(g)) for g in gradients]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
        function(parameters, threshold)
        build(name, threshold)(gradients)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-5, atol=1e-6)


def test_clipping_by_value_leaves_small_components_alone() -> None:
    gradients = [torch.tensor([-3.0, -0.5, 0.0, 0.5, 3.0])]
    build("value", 1.0)(gradients)
    assert gradients[0].tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]


@pytest.mark.parametrize("threshold", [1e-9, 1e-5, 1.0])
def test_a_clipped_norm_is_the_threshold_itself_not_a_little_less(threshold: float) -> None:
    gradients = [g.double() for g in draw(1e-4 if threshold < 1e-4 else 10.0)]  # torch adds 1e-6 to the norm
    clipped = build("norm", threshold)(gradients)
    assert norm(gradients) == pytest.approx(threshold, rel=1e-12)
    assert clipped.applied.item() == pytest.approx(threshold, rel=1e-12)
