"""Each clip policy against its rule in plain floats, one number at a time, over many updates; and what each is for."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pytest
import torch
from torch.nn.utils import clip_grad_norm_

from study.columns import LIMIT, SHARE
from study.learning.clipping.adagc import AdaGC
from study.learning.clipping.agc import AGC
from study.learning.clipping.autoclip import AutoClip
from study.learning.clipping.contract import Clip
from study.learning.clipping.per_parameter import ClipPerParameter
from study.learning.clipping.percentile import ClipPercentile
from study.learning.clipping.ranked import ROOM, Ranked
from study.learning.clipping.skip import SkipNonFinite
from study.learning.clipping.zclip import ZClip
from study.schema.clip import CLIPS
from study.schema.defaults import option
from study.testing.clips import clip_once, draw, norm

Gradient = list[list[float]]
"""Of every parameter, its numbers one after another."""
Rule = Callable[[Gradient, Gradient], Gradient]
"""Takes the gradient of an update and the parameters; returns the gradient as clipped."""
UPDATES = 40
SIZES = [math.exp(math.sin(3.0 * update) + (2.5 if update % 13 == 12 else 0.0)) for update in range(UPDATES)]
"""Norms that go up and down, with a spike now and then."""


def length(numbers: Iterable[float]) -> float:
    return math.sqrt(sum(number**2 for number in numbers))


def whole(gradient: Gradient) -> float:
    return length(number for part in gradient for number in part)


def times(gradient: Gradient, factors: Sequence[float]) -> Gradient:
    return [[factor * number for number in part] for factor, part in zip(factors, gradient, strict=True)]


def to(gradient: Gradient, limit: float) -> Gradient:
    return times(gradient, [min(1.0, limit / whole(gradient))] * len(gradient))


def per_parameter(threshold: float) -> Rule:
    return lambda gradient, _: times(gradient, [min(1.0, threshold / length(part)) for part in gradient])


def autoclip(percentile: float) -> Rule:
    seen: list[float] = []

    def rule(gradient: Gradient, _: Gradient) -> Gradient:
        seen.append(whole(gradient))
        return to(gradient, float(np.percentile(seen, percentile)))

    return rule


def percentile(percentile: float, warmup: int) -> Rule:
    seen: list[float] = []

    def rule(gradient: Gradient, _: Gradient) -> Gradient:
        if len(seen) == warmup:
            return to(gradient, float(np.percentile(seen, percentile)))
        seen.append(whole(gradient))
        return gradient

    return rule


def zclip(alpha: float, z: float, maximum: float, warmup: int) -> Rule:
    first: list[float] = []
    mean = variance = 0.0

    def rule(gradient: Gradient, _: Gradient) -> Gradient:
        nonlocal mean, variance
        found = whole(gradient)
        if len(first) < warmup:
            first.append(found)
            mean, variance = float(np.mean(first)), float(np.var(first))
            return to(gradient, maximum)
        deviations = (found - mean) / math.sqrt(variance)
        kept = mean + z * math.sqrt(variance) * z / deviations if deviations > z else found
        mean = alpha * mean + (1 - alpha) * kept
        variance = alpha * variance + (1 - alpha) * (kept - mean) ** 2
        return to(gradient, min(kept, maximum))

    return rule


def adagc(relative: float, absolute: float, beta: float, warmup: int) -> Rule:
    usual: list[float] = []
    updates = 0

    def rule(gradient: Gradient, _: Gradient) -> Gradient:
        nonlocal updates, usual
        updates += 1
        if updates <= warmup:
            clipped = to(gradient, absolute)
            usual = [min(pair) for pair in zip(usual or [math.inf] * len(clipped), map(length, clipped), strict=True)]
            return clipped
        limits = [relative * old for old in usual]
        clipped = times(gradient, [min(1.0, top / length(part)) for top, part in zip(limits, gradient, strict=True)])
        usual = [beta * old + (1 - beta) * length(part) for old, part in zip(usual, clipped, strict=True)]
        return clipped

    return rule


def agc(ratio: float, eps: float) -> Rule:
    rows = [3, 1, 2]  # of the shapes (3, 4), (5,), (2, 2, 2)

    def units(part: list[float], count: int) -> Iterator[list[float]]:
        size = len(part) // count
        yield from (part[i * size : (i + 1) * size] for i in range(count))

    def rule(gradient: Gradient, weights: Gradient) -> Gradient:
        clipped = []
        for part, weight, count in zip(gradient, weights, rows, strict=True):
            pairs = zip(units(part, count), units(weight, count), strict=True)
            limits = [(unit, ratio * max(length(held), eps)) for unit, held in pairs]
            clipped.append([g * min(1.0, limit / length(unit)) for unit, limit in limits for g in unit])
        return clipped

    return rule


@pytest.mark.parametrize(
    ("clip", "rule"),
    [
        (ClipPerParameter(2.0), per_parameter(2.0)),
        (AutoClip(10.0), autoclip(10.0)),
        (AutoClip(63.7), autoclip(63.7)),
        (ClipPercentile(80.0, 7), percentile(80.0, 7)),
        (ZClip(0.9, 1.0, 30.0, 5), zclip(0.9, 1.0, 30.0, 5)),
        (ZClip(0.97, 2.5, 6.0, 5), zclip(0.97, 2.5, 6.0, 5)),
        (AdaGC(1.05, 4.0, 0.9, 6), adagc(1.05, 4.0, 0.9, 6)),
        (AGC(0.5, 1e-3), agc(0.5, 1e-3)),
        (AGC(0.5, 4.0), agc(0.5, 4.0)),
    ],
    ids=lambda given: type(given).__name__ if isinstance(given, Clip) else "",
)
def test_a_policy_clips_as_its_rule_says_in_every_one_of_forty_updates(clip: Clip, rule: Rule) -> None:
    weights, changed = draw(-1, 0.7, torch.float64), 0
    for update, size in enumerate(SIZES):
        gradients = draw(update, size, torch.float64)
        given = [gradient.flatten().tolist() for gradient in gradients]
        clipped = clip_once(clip, gradients, weights)
        expected = rule(given, [weight.flatten().tolist() for weight in weights])
        for found, numbers in zip(gradients, expected, strict=True):
            torch.testing.assert_close(found.flatten(), torch.tensor(numbers, dtype=torch.float64))
        assert clipped.applied.item() == pytest.approx(whole(expected), rel=1e-12)
        changed += int(clipped.applied < clipped.total)
    assert 0 < changed <= UPDATES


@pytest.mark.parametrize("name", CLIPS)
def test_a_policy_is_built_from_plain_values_whose_names_and_defaults_are_those_of_its_configuration(name: str) -> None:
    parameters, values = inspect.signature(CLIPS.implementation(name)).parameters, option("clip", name)
    assert [*parameters] == [key for key in values if key != "name"]
    assert all(values[key] == p.default for key, p in parameters.items() if p.default is not inspect.Parameter.empty)


def test_a_matrix_that_explodes_shortens_no_other_parameter_when_each_is_clipped_by_itself() -> None:
    gradients = [torch.full((2, 2), 1e6), torch.full((3,), 0.1)]
    clipped = clip_once(ClipPerParameter(1.0), gradients)
    assert gradients[1].tolist() == pytest.approx([0.1] * 3)
    assert norm(gradients[:1]) == pytest.approx(1.0)
    assert clipped.records[SHARE] == 0.5


def test_clipping_one_parameter_after_another_agrees_with_torch() -> None:
    gradients, parameters = draw(0), [torch.nn.Parameter(p) for p in draw(-1)]
    for parameter, gradient in zip(parameters, draw(0), strict=True):
        parameter.grad = gradient
        clip_grad_norm_(parameter, 1.0)
    clip_once(ClipPerParameter(1.0), gradients)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("percentile", [0.1, 10.0, 50.0, 99.0])
def test_ranked_numbers_have_the_percentiles_of_numpy_however_many_there_are(percentile: float) -> None:
    ranked, draws = Ranked(), np.random.default_rng(0).lognormal(size=ROOM + 300)
    draws[[3, 500]] = draws[2]  # equal ones
    for count, number in enumerate(draws, 1):
        ranked.add(torch.tensor(number))
        if count in (1, 2, 3, 10, ROOM, ROOM + 1, ROOM + 300):
            expected = np.percentile(draws[:count], percentile)
            assert ranked.percentile(percentile).item() == pytest.approx(expected, rel=1e-14)
            assert ranked.numbers.tolist() == sorted(draws[:count])


@pytest.mark.parametrize("percentile", [10.0, 90.0])
def test_autoclip_clips_about_the_share_above_its_percentile_of_norms_that_come_from_one_source(
    percentile: float,
) -> None:
    clip, active = AutoClip(percentile), []
    for size in np.random.default_rng(0).lognormal(size=400):
        clipped = clip_once(clip, [torch.full((4,), float(size))], [torch.ones(4)])
        active.append(bool(clipped.applied < clipped.total))
    assert np.mean(active[100:]) == pytest.approx(1 - percentile / 100, abs=0.05)


def test_a_percentile_of_the_warm_up_stays_what_it_was_and_says_nothing_before() -> None:
    clip, limits = ClipPercentile(50.0, 3), []
    for size in (1.0, 2.0, 3.0, 100.0, 0.5, 100.0):
        clipped = clip_once(clip, [torch.tensor([size])], [torch.ones(1)])
        limits.append(clipped.records[LIMIT].item())
    assert np.isnan(limits[:3]).all()
    assert limits[3:] == [2.0, 2.0, 2.0]
    assert clipped.applied.item() == 2.0


def test_zclip_brings_a_norm_the_nearer_to_the_mean_the_further_out_it_lies_and_leaves_the_usual_ones() -> None:
    def after(spike: float) -> float:
        clip = ZClip(0.97, 2.5, 1e9, 20)
        for update in range(20):
            clip_once(clip, [torch.tensor([10.0 + (-1.0) ** update])], [torch.ones(1)])  # of mean 10 and deviation 1
        return clip_once(clip, [torch.tensor([spike])], [torch.ones(1)]).applied.item()

    assert after(12.0) == 12.0
    assert [after(spike) for spike in (20.0, 1000.0)] == pytest.approx([10 + 6.25 / 10, 10 + 6.25 / 990])


def test_adagc_never_holds_a_tensor_at_zero_because_a_loss_did_not_reach_it_once() -> None:
    clip = AdaGC(1.05, 1.0, 0.9, 3)
    for update in range(8):
        reached = 0.0 if update in (0, 1, 4) else 0.3
        gradients = [torch.tensor([0.2]), torch.tensor([reached])]
        clip_once(clip, gradients, [torch.ones(1), torch.ones(1)])
        assert gradients[1].item() == pytest.approx(reached)
    unseen = AdaGC(1.05, 1.0, 0.9, 1)
    for size in (0.0, 0.0, 5.0, 50.0):
        gradients = [torch.tensor([size])]
        clip_once(unseen, gradients, [torch.ones(1)])
    assert gradients[0].item() == pytest.approx(1.05 * 5.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_step_that_is_skipped_leaves_parameters_as_they_are_and_shows(bad: float) -> None:
    parameters = [torch.nn.Parameter(p) for p in draw(-1)]
    sgd, adam = torch.optim.SGD(parameters, 0.1), torch.optim.Adam(parameters, 0.1)
    for parameter, gradient in zip(parameters, draw(0), strict=True):
        parameter.grad = gradient
    parameters[1].grad[2] = bad  # type: ignore[index]
    clipped = clip_once(SkipNonFinite(5), [p.grad for p in parameters if p.grad is not None], parameters)
    assert (clipped.applied.item(), clipped.records[SHARE].item()) == (0.0, 1.0)
    assert not math.isfinite(clipped.total.item())
    for optimizer in (sgd, adam):  # without a memory of earlier steps
        optimizer.step()
        assert all(torch.equal(p, start) for p, start in zip(parameters, draw(-1), strict=True))


def test_an_optimizer_with_a_memory_goes_on_along_it_when_a_step_is_skipped() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    sgd = torch.optim.SGD([parameter], 1.0, momentum=0.5)
    for gradient in (1.0, math.nan, 0.0):
        parameter.grad = torch.tensor([gradient])
        clip_once(SkipNonFinite(5), [parameter.grad], [parameter])
        sgd.step()
    assert parameter.item() == -1.75


def test_a_unit_is_a_row_and_a_bias_is_one_unit() -> None:
    gradients = [torch.tensor([[3.0, 4.0], [0.3, 0.4]]), torch.tensor([3.0, 4.0])]
    clipped = clip_once(AGC(1.0, 1e-3), gradients, [torch.tensor([[0.0, 2.0], [2.0, 0.0]]), torch.zeros(2)])
    assert gradients[0].flatten().tolist() == pytest.approx([1.2, 1.6, 0.3, 0.4])
    assert gradients[1].tolist() == pytest.approx([0.6e-3, 0.8e-3])
    assert clipped.records[SHARE].item() == pytest.approx(2 / 3)
