"""One contract for every clip policy there is, then each policy's own formula."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from study.learning import clipping
from study.learning.bptt import TruncatedBPTT
from study.learning.clipping import Clip, Clipped
from study.learning.clipping.adagc import AdaGC
from study.learning.clipping.autoclip import AutoClip
from study.learning.clipping.none import NoClip
from study.learning.clipping.norm import ClipNorm
from study.learning.clipping.percentile import ClipPercentile
from study.learning.clipping.value import ClipValue
from study.learning.clipping.zclip import ZClip
from study.probes.geometry import update_geometry
from study.schema.clip import CLIPS, ClipConfig
from study.testing.clips import ClipContract, MakeClip, clip_once, draw, norm
from study.testing.configs import ConfigContract
from study.verify.networks import MSE
from tests.composed import member
from tests.networks import batch, build

configured = partial(member, CLIPS, "clip")


class TestClips(ClipContract):
    @pytest.fixture(params=CLIPS)
    def make_clip(self, request: pytest.FixtureRequest) -> MakeClip:
        return lambda: clipping.build(configured(request.param))


class TestClipsPastTheirWarmUp(ClipContract):
    @pytest.fixture(
        params=[
            lambda: AutoClip(50.0),
            lambda: ClipPercentile(50.0, 2),
            lambda: ZClip(0.5, 0.1, 1e9, 2),
            lambda: AdaGC(1.05, 1.0, 0.5, 2),
        ],
        ids=["autoclip", "percentile", "zclip", "adagc"],
    )
    def make_clip(self, request: pytest.FixtureRequest) -> MakeClip:
        make: MakeClip = request.param
        return make


class TestClipConfigs(ConfigContract):
    @pytest.fixture(params=CLIPS)
    def config(self, request: pytest.FixtureRequest) -> ClipConfig:
        return configured(request.param)


class Broken(AutoClip):
    """Right but for one thing."""

    def __init__(self) -> None:
        super().__init__(50.0)


class Forgetful(Broken):
    def state_dict(self) -> dict[str, Any]:
        return {"seen": torch.zeros(0, dtype=torch.float64)}


class Shared(Broken):
    def __deepcopy__(self, _: Any) -> "Shared":
        return self


class Optimist(Broken):
    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        for gradient in gradients:
            gradient.nan_to_num_()
        return super().__call__(gradients, parameters)


class Late(Broken):
    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        clipped = super().__call__(gradients, parameters)
        return clipped._replace(total=clipped.applied)


class Decay(Broken):
    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        for parameter in parameters:
            parameter.mul_(0.9)
        return super().__call__(gradients, parameters)


class Boastful(Broken):
    norm_limit = 0.5


class Silent(Broken):
    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        return super().__call__(gradients, parameters)._replace(records={})


class Patient(Broken):
    patience = 3


@pytest.mark.parametrize(
    ("policy", "claim"),
    [
        (Forgetful, ClipContract.test_a_restored_policy_clips_on_to_the_same_bits),
        (Shared, ClipContract.test_a_copy_that_clips_leaves_the_original_as_it_is),
        (Optimist, lambda suite, make: suite.test_what_is_not_finite_passes_into_the_norms(make, math.nan)),
        (Late, lambda suite, make: suite.test_the_norms_are_those_before_and_after(make, 1.0, torch.float32)),
        (Decay, ClipContract.test_parameters_are_only_read),
        (Silent, lambda suite, make: suite.test_every_update_has_the_records_that_are_named(make, 1.0)),
        (
            Patient,
            lambda suite, make: suite.test_a_policy_that_goes_on_after_what_is_not_finite_lets_nothing_of_it_through(
                make, math.nan
            ),
        ),
        (Boastful, lambda suite, make: suite.test_no_applied_gradient_exceeds_the_limit_that_is_stated(make, 1.0)),
    ],
)
def test_the_contract_catches_a_policy_that_breaks_it(policy: type[Clip], claim: Callable[..., None]) -> None:
    with pytest.raises(AssertionError):
        claim(ClipContract(), policy)


def test_a_policy_that_keeps_no_state_is_not_given_one() -> None:
    with pytest.raises(Exception, match="ClipValue, which keeps none"):
        ClipValue(1.0).load_state_dict({"seen": 1})


def test_measuring_never_changes_the_state_of_the_policy_that_trains() -> None:
    network, clip, data = build("gru"), AutoClip(50.0), batch(12, 4, 3)
    bptt = TruncatedBPTT(network, MSE, torch.optim.Adam(network.parameters(), 0.01), clip, None, 4)
    list(bptt.updates(data))
    before: Mapping[str, Any] = copy.deepcopy(clip.state_dict())
    update_geometry(bptt, data, 2)
    assert before["seen"].tolist() == clip.state_dict()["seen"].tolist()
    assert len(before["seen"]) == 3


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e25])
def test_clipping_by_norm_keeps_the_direction_and_lands_on_the_threshold(scale: float) -> None:
    gradients, before = draw(0, scale), draw(0, scale)
    clip_once(ClipNorm(0.5), gradients)
    assert norm(gradients) == pytest.approx(0.5, rel=1e-5)
    ratios = torch.cat([(g / b).flatten() for g, b in zip(gradients, before, strict=True)])
    torch.testing.assert_close(ratios, ratios[:1].expand_as(ratios))


@pytest.mark.parametrize("policy", [ClipNorm, ClipValue])
def test_a_threshold_that_never_acts_changes_no_bit(policy: type[Clip]) -> None:
    gradients = draw(0)
    clipped = clip_once(policy(100.0), gradients)  # type: ignore[call-arg]
    assert all(torch.equal(g, b) for g, b in zip(gradients, draw(0), strict=True))
    assert torch.equal(clipped.total, clipped.applied)


@pytest.mark.parametrize("threshold", [0.1, 1.0, 1e3])
@pytest.mark.parametrize(("policy", "function"), [(ClipNorm, clip_grad_norm_), (ClipValue, clip_grad_value_)])
def test_clipping_agrees_with_torch(policy: Callable[[float], Clip], function: Any, threshold: float) -> None:
    gradients, parameters = draw(0), [torch.nn.Parameter(p) for p in draw(-1)]
    for parameter, gradient in zip(parameters, draw(0), strict=True):
        parameter.grad = gradient
    function(parameters, threshold)
    clip_once(policy(threshold), gradients)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-5, atol=1e-6)


def test_clipping_by_value_leaves_small_components_alone() -> None:
    gradients = [torch.tensor([-3.0, -0.5, 0.0, 0.5, 3.0])]
    clip_once(ClipValue(1.0), gradients)
    assert gradients[0].tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]


def test_only_a_norm_threshold_limits_the_norm_and_only_no_clipping_never_clips() -> None:
    assert [clip.norm_limit for clip in (NoClip(), ClipNorm(2.0), ClipValue(2.0))] == [None, 2.0, None]
    assert [clip.clips for clip in (NoClip(), ClipNorm(2.0), ClipValue(2.0))] == [False, True, True]


@pytest.mark.parametrize("threshold", [1e-9, 1e-5, 1.0])
def test_a_clipped_norm_is_the_threshold_itself_not_a_little_less(threshold: float) -> None:
    gradients = draw(0, 1e-4 if threshold < 1e-4 else 10.0, torch.float64)  # torch adds 1e-6 to the norm
    clipped = clip_once(ClipNorm(threshold), gradients)
    assert norm(gradients) == pytest.approx(threshold, rel=1e-12)
    assert clipped.applied.item() == pytest.approx(threshold, rel=1e-12)
