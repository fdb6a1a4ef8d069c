"""The contract of clip policies, for pytest: what `study.learning.clipping.contract` asks of every one."""

import copy
import io
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from study.columns import LIMIT, SHARE
from study.learning.clipping import Clip, Clipped
from study.learning.clipping.contract import NormClip
from study.verify.waiting import NOWHERE, NeverWaiting

SCALES = (0.0, 1e-30, 1e-3, 1.0, 1e3, 1e25)
"""Sizes of gradients: none, too small and too large for float32's squares, and between."""
SHAPES = ((3, 4), (5,), (2, 2, 2))
UPDATES = 6
"""In a row: a policy with a state clips each by those before."""

MakeClip = Callable[[], Clip]


def draw(update: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Gradients of one update ~ scale N(0, 1), or parameters; the same for the same number."""
    draws = torch.Generator().manual_seed(update)
    return [scale * torch.randn(shape, generator=draws, dtype=dtype) for shape in SHAPES]


def clip_once(clip: Clip, gradients: list[Tensor], parameters: Sequence[Tensor] | None = None) -> Clipped:
    """Apply a policy as training does: without a graph."""
    with torch.no_grad():
        return clip(gradients, draw(-1) if parameters is None else parameters)


def norm(gradients: Sequence[Tensor]) -> float:
    """The 2-norm of all gradients together, in float64."""
    return math.sqrt(sum(float(g.double().square().sum()) for g in gradients))


def numbers(clipped: Clipped) -> list[Tensor]:
    """All that a policy returns."""
    return [clipped.parameters, clipped.total, clipped.applied, *clipped.records.values()]


def same(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Whether two lists of tensors are equal bit for bit."""
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


class ClipContract:
    """Claims that hold for every clip policy; a subclass says how to make one."""

    @pytest.fixture
    def make_clip(self) -> MakeClip:
        """Makes a new policy, the same at every call."""
        raise NotImplementedError

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    @pytest.mark.parametrize("scale", SCALES)
    def test_the_norms_are_those_before_and_after(self, make_clip: MakeClip, scale: float, dtype: torch.dtype) -> None:
        """The whole history and every verdict rest on them."""
        clip = make_clip()
        for update in range(UPDATES):
            gradients = draw(update, scale, dtype)
            total, each = norm(gradients), [norm([g]) for g in gradients]
            clipped = clip_once(clip, gradients, draw(-1, dtype=dtype))
            assert all(value.dtype == torch.float64 for value in numbers(clipped))
            assert clipped.parameters.tolist() == pytest.approx(each, rel=1e-5, abs=0)
            assert clipped.total.item() == pytest.approx(total, rel=1e-5, abs=0)
            assert clipped.applied.item() == pytest.approx(norm(gradients), rel=1e-5, abs=0)

    @pytest.mark.parametrize("scale", SCALES)
    def test_no_gradient_gets_longer(self, make_clip: MakeClip, scale: float) -> None:
        """Nor does any component of one."""
        clip = make_clip()
        for update in range(UPDATES):
            gradients = draw(update, scale)
            clipped = clip_once(clip, gradients)
            assert clipped.applied <= clipped.total
            for after, before in zip(gradients, draw(update, scale), strict=True):
                assert (after.abs() <= before.abs()).all()

    @pytest.mark.parametrize("scale", SCALES)
    def test_an_update_counts_as_clipped_where_a_bit_of_it_changed(self, make_clip: MakeClip, scale: float) -> None:
        """The share of updates clipped is counted by `applied < total`; a threshold that never acts changes no bit."""
        clip = make_clip()
        for update in range(UPDATES):
            gradients = draw(update, scale)
            clipped = clip_once(clip, gradients)
            unchanged = same(gradients, draw(update, scale))
            assert unchanged == torch.equal(clipped.applied, clipped.total)
            assert unchanged or clip.clips

    @pytest.mark.parametrize("scale", SCALES)
    def test_no_applied_gradient_exceeds_the_limit_that_is_stated(self, make_clip: MakeClip, scale: float) -> None:
        """It is drawn into the picture of the norms."""
        clip = make_clip()
        limit = math.inf if clip.norm_limit is None else clip.norm_limit
        assert limit > 0
        for update in range(UPDATES):
            assert clip_once(clip, draw(update, scale)).applied.item() <= limit * (1 + 1e-6)

    @pytest.mark.parametrize("scale", SCALES)
    def test_every_update_has_the_records_that_are_named(self, make_clip: MakeClip, scale: float) -> None:
        """They are columns of the history; a limit on the norm holds, and a share is between nothing and all."""
        clip = make_clip()
        for update in range(UPDATES):
            clipped = clip_once(clip, draw(update, scale))
            assert tuple(clipped.records) == clip.records
            assert all(value.ndim == 0 for value in clipped.records.values())
            assert not clipped.applied > clipped.records.get(LIMIT, clipped.total) * (1 + 1e-6)
            assert 0 <= clipped.records.get(SHARE, clipped.total.new_zeros(())) <= 1
            assert (clipped.records[SHARE] > 0) >= (clipped.applied < clipped.total) if SHARE in clip.records else True

    def test_a_policy_that_decides_by_norms_decides_alike_when_it_is_asked_with_the_norms_alone(
        self, make_clip: MakeClip
    ) -> None:
        """So it can be replayed on a finished run, whose history has the norms."""
        clip, asked = make_clip(), make_clip()
        for update in range(UPDATES if isinstance(asked, NormClip) else 0):
            clipped = clip_once(clip, draw(update))
            scale, records = asked.decide(clipped.parameters, clipped.total)  # type: ignore[attr-defined]
            torch.testing.assert_close((clipped.parameters * scale).norm(), clipped.applied)
            torch.testing.assert_close(records, clipped.records, rtol=0, atol=0, equal_nan=True)

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_a_policy_that_goes_on_after_what_is_not_finite_lets_nothing_of_it_through(
        self, make_clip: MakeClip, bad: float
    ) -> None:
        """Else its patience would be with a network of NaN."""
        clip = make_clip()
        for update in range(clip.patience):
            gradients = draw(update)
            gradients[1][2] = bad
            assert clip_once(clip, gradients).applied == norm(gradients) < math.inf

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_what_is_not_finite_passes_into_the_norms(self, make_clip: MakeClip, bad: float) -> None:
        """Nothing is raised: a run that diverges is a result, and the history has to show where."""
        gradients = draw(0)
        gradients[1][2] = bad
        clipped = clip_once(make_clip(), gradients)
        for found in (clipped.total.item(), clipped.parameters[1].item()):
            assert found == pytest.approx(abs(bad), nan_ok=True)
        assert torch.isfinite(clipped.parameters[[0, 2]]).all()

    def test_one_parameter_alone_is_clipped_too(self, make_clip: MakeClip) -> None:
        """Nothing depends on there being several."""
        gradients = [torch.full((4,), 3.0)]
        clipped = clip_once(make_clip(), gradients, [torch.ones(4)])
        assert clipped.parameters.tolist() == pytest.approx([6.0])
        assert clipped.applied.item() == pytest.approx(norm(gradients))

    def test_a_parameter_without_a_gradient_counts_as_zero(self, make_clip: MakeClip) -> None:
        """A loss need not reach every parameter in every window."""
        gradients = draw(0)
        gradients[1].zero_()
        clipped = clip_once(make_clip(), gradients)
        assert clipped.parameters[1] == 0
        assert torch.isfinite(clipped.applied)
        assert not gradients[1].any()

    def test_it_never_waits_for_the_device(self, make_clip: MakeClip) -> None:
        """It reads no number back and copies none to the device, past its first update, in which it makes its state."""
        clip, parameters = make_clip(), [p.to(NOWHERE) for p in draw(-1)]
        clip_once(clip, [g.to(NOWHERE) for g in draw(0)], parameters)
        for update in range(1, UPDATES):
            gradients = [g.to(NOWHERE) for g in draw(update)]
            with NeverWaiting():
                clip_once(clip, gradients, parameters)

    def test_parameters_are_only_read(self, make_clip: MakeClip) -> None:
        """It is the optimizer that moves them."""
        clip, parameters = make_clip(), [torch.nn.Parameter(p) for p in draw(-1)]
        for update in range(UPDATES):
            clipped = clip_once(clip, draw(update), parameters)
            assert not any(value.requires_grad for value in numbers(clipped))
        assert same(parameters, draw(-1))
        assert all(p.grad is None for p in parameters)

    def test_a_restored_policy_clips_on_to_the_same_bits(self, make_clip: MakeClip) -> None:
        """An interrupted run resumes to the bits of one that was not; a checkpoint holds tensors and plain values."""
        first, second, file = make_clip(), make_clip(), io.BytesIO()
        for update in range(UPDATES):
            clip_once(first, draw(update))
        torch.save(first.state_dict(), file)
        file.seek(0)
        second.load_state_dict(torch.load(file, weights_only=True))
        self._assert_equal_from_here(first, second)

    def test_a_copy_that_clips_leaves_the_original_as_it_is(self, make_clip: MakeClip) -> None:
        """Probes rehearse updates on copies: to measure must change nothing."""
        first, second = make_clip(), make_clip()
        for update in range(UPDATES):
            clip_once(first, draw(update))
            clip_once(second, draw(update))
        rehearsed = copy.deepcopy(first)
        for update in range(UPDATES):
            clip_once(rehearsed, draw(update, 1e3))
        self._assert_equal_from_here(first, second)

    def _assert_equal_from_here(self, first: Clip, second: Clip) -> None:
        for update in range(UPDATES, 2 * UPDATES):
            one, other = draw(update), draw(update)
            alike = map(numbers, (clip_once(first, one), clip_once(second, other)))
            torch.testing.assert_close(*alike, rtol=0, atol=0, equal_nan=True)
            assert same(one, other)
