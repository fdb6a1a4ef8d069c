"""What is each loss's own: the best constant, coverage, limits, the scale of the gradient, measures over a split."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from study.learning import losses
from study.learning.bptt import TruncatedBPTT
from study.learning.clipping import Clipped
from study.learning.clipping.none import NoClip
from study.learning.clipping.norm import ClipNorm
from study.learning.evaluation import Evaluation
from study.learning.losses.contract import StepLoss
from study.learning.losses.cross_entropy import CrossEntropy
from study.learning.losses.exponential import LARGEST, exponential
from study.learning.losses.focal import Focal
from study.learning.losses.gaussian_nll import GaussianNLL
from study.learning.losses.huber import Huber
from study.learning.losses.mae import MAE
from study.learning.losses.mse import MSE
from study.learning.losses.pinball import Pinball
from study.learning.losses.qlike import QLIKE
from study.models import RecurrentModel
from study.probes.geometry import Geometry
from study.probes.sharpness import sharpness
from study.schema import Config
from study.tasks.contract import Batch, Metrics
from study.testing.probes import full_plan
from study.train import assemble
from tests.networks import batch, build

Configure = Callable[..., Config]
NORMAL = torch.randn(4000, 1, 1, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
"""Targets of 4,000 steps."""


def best_constant(loss: StepLoss, targets: Tensor, of: slice = slice(None)) -> Tensor:
    """The constant outputs of least loss, by descent: each has one valley."""
    outputs = torch.zeros(loss.outputs(1), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([outputs], 0.5, 200, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss.per_step(outputs.expand(*targets.shape[:2], -1), targets).mean()
        value.backward()
        return value

    optimizer.step(closure)
    return outputs.detach()[of]


def test_pinball_is_least_at_the_quantiles_and_mae_at_the_median() -> None:
    levels = (0.1, 0.5, 0.8)
    expected = torch.quantile(NORMAL.flatten(), torch.tensor(levels, dtype=torch.float64))
    torch.testing.assert_close(best_constant(Pinball(levels=levels), NORMAL), expected, rtol=0, atol=0.01)
    torch.testing.assert_close(best_constant(MAE(), NORMAL), expected[1:2], rtol=0, atol=0.01)


def test_two_times_the_pinball_loss_of_the_median_is_the_absolute_error() -> None:
    outputs = NORMAL.flip(0)
    torch.testing.assert_close(2 * Pinball(levels=[0.5]).per_step(outputs, NORMAL), MAE().per_step(outputs, NORMAL))


@pytest.mark.parametrize(
    ("levels", "chosen"), [((0.05, 0.5, 0.95), 1), ((0.1, 0.4, 0.9), 1), ((0.4, 0.6), 0), ((0.9,), 0)]
)
def test_pinball_predicts_the_quantile_nearest_to_the_median(levels: tuple[float, ...], chosen: int) -> None:
    outputs = torch.arange(2.0 * len(levels))[None, None]
    assert Pinball(levels=levels).predict(outputs)[0, 0].tolist() == [chosen, len(levels) + chosen]


def test_coverage_is_the_share_between_the_outer_quantiles_and_of_crossed_ones_there_is_none() -> None:
    loss = Pinball(levels=[0.05, 0.5, 0.95])
    low, high = NORMAL.flatten().quantile(0.05), NORMAL.flatten().quantile(0.95)
    outputs = torch.stack([low, low, high]).expand(len(NORMAL), 1, 3)
    found = loss.measures(outputs, NORMAL, None)
    assert float(found["coverage"]) / len(NORMAL) == pytest.approx(0.9, abs=1e-3)
    torch.testing.assert_close(found["pinball"], loss.total(outputs, NORMAL, None))
    assert not loss.measures(outputs.flip(-1), NORMAL, None)["coverage"]
    assert set(Pinball(levels=[0.5]).measures(outputs[..., :1], NORMAL, None)) == {"pinball"}


def test_gaussian_nll_is_torchs_own_and_least_at_mean_and_log_variance() -> None:
    outputs = torch.cat([NORMAL.flip(0), NORMAL.roll(7, 0)], -1)
    own = F.gaussian_nll_loss(outputs[..., :1], NORMAL, outputs[..., 1:].exp(), full=True, reduction="none")
    torch.testing.assert_close(GaussianNLL().per_step(outputs, NORMAL), own[..., 0])
    targets = 3 + 2 * NORMAL
    expected = torch.stack([targets.mean(), targets.var(correction=0).log()])
    torch.testing.assert_close(best_constant(GaussianNLL(), targets), expected, rtol=1e-4, atol=1e-4)


def test_a_true_normal_distribution_has_its_entropy_and_is_covered_to_95_percent() -> None:
    outputs = torch.tensor([3.0, math.log(4.0)], dtype=torch.float64).expand(len(NORMAL), 1, 2)
    found = {key: float(v) / len(NORMAL) for key, v in GaussianNLL().measures(outputs, 3 + 2 * NORMAL, None).items()}
    assert found["nats"] == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 4), abs=0.02)
    assert found["coverage"] == pytest.approx(0.95, abs=0.01)


def test_qlike_is_of_the_variances_in_their_own_unit_and_least_at_the_mean_of_variances() -> None:
    loss, centre = QLIKE(), -4.0
    loss.units = torch.tensor([0.5], dtype=torch.float64)
    variances, guesses = ((2 * (centre + 0.5 * y)).exp() for y in (NORMAL, NORMAL.flip(0)))
    ratio = variances / guesses
    torch.testing.assert_close(loss.per_step(NORMAL.flip(0), NORMAL), (ratio - ratio.log() - 1)[..., 0])
    best = (2 * (centre + 0.5 * best_constant(loss, NORMAL))).exp()
    torch.testing.assert_close(best, variances.mean()[None], rtol=1e-4, atol=0)


def test_the_task_tells_qlike_the_unit_of_its_targets(configure: Configure) -> None:
    task, module = assemble(configure("loss=qlike", "model.hidden_size=2"))
    assert module.loss.units is not None
    torch.testing.assert_close(module.loss.units, task.units)
    assert 0.2 < float(module.loss.units) < 1


def test_an_exponential_goes_on_as_its_tangent() -> None:
    x = torch.tensor([-1e5, -3.0, 0.0, LARGEST, LARGEST + 2, 1e5], dtype=torch.float64, requires_grad=True)
    found = exponential(x)
    (slope,) = torch.autograd.grad(found.sum(), x)
    top = math.exp(LARGEST)
    expected = [0.0, math.exp(-3), 1.0, top, 3 * top, top * (1 + 1e5 - LARGEST)]
    assert found.tolist() == pytest.approx(expected)
    assert slope.tolist() == pytest.approx([0.0, math.exp(-3), 1.0, top, top, top])


def test_huber_is_half_the_square_for_a_large_delta_and_delta_times_the_size_for_a_small_one() -> None:
    zeros = torch.zeros_like(NORMAL)
    torch.testing.assert_close(Huber(delta=10.0).per_step(zeros, NORMAL), 0.5 * MSE().per_step(zeros, NORMAL))
    slope = torch.func.grad(lambda a: Huber(delta=0.1).per_step(a, NORMAL).sum())(zeros)
    assert slope.abs().max() == pytest.approx(0.1)


CLASSES = torch.arange(12).view(6, 2) % 3
LOGITS = 3 * torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_smoothing_spreads_a_share_of_the_target_over_all_classes(smoothing: float) -> None:
    target = (1 - smoothing) * F.one_hot(CLASSES, 3) + smoothing / 3
    expected = -(target * LOGITS.log_softmax(-1)).sum(-1)
    torch.testing.assert_close(CrossEntropy(smoothing=smoothing).per_step(LOGITS, CLASSES), expected)


def test_cross_entropy_without_smoothing_has_the_bits_it_always_had() -> None:
    logits = LOGITS.float()
    before = F.cross_entropy(logits.flatten(0, 1), CLASSES.flatten(), reduction="none").view(6, 2)
    assert torch.equal(CrossEntropy().per_step(logits, CLASSES), before)


def test_focal_loss_without_gamma_is_cross_entropy() -> None:
    expected = CrossEntropy().per_step(LOGITS, CLASSES)
    torch.testing.assert_close(Focal(gamma=0.0).per_step(LOGITS, CLASSES), expected)


def test_focal_loss_of_a_class_that_is_certain_has_a_slope_of_zero_and_not_of_nan() -> None:
    certain = 200 * F.one_hot(CLASSES, 3).float()
    slope = torch.func.grad(lambda a: Focal(gamma=0.5).per_step(a, CLASSES).sum())(certain)
    assert not slope.any()


class Nothing(Metrics):
    def update(self, predictions: Tensor, batch: Batch) -> None:
        pass

    def compute(self) -> dict[str, float]:
        return {}


def test_a_loss_measures_a_split_step_by_step_however_it_is_cut_and_normalised() -> None:
    model, data = build("gru"), batch(8, 4, 3)
    model.head = torch.nn.Linear(5, 3).double()
    mask = torch.arange(8)[:, None] < torch.tensor([8, 2, 5, 1])
    halves = [Batch(data.inputs[:, i], data.targets[:, i], mask[:, i]) for i in (slice(0, 1), slice(1, 4))]
    loss = Pinball(over_time="sum")
    evaluation = Evaluation(model, loss, Nothing(), stateful=False)
    evaluation.add(halves)
    found = evaluation.result()
    outputs = model(data.inputs)[0].detach()
    steps = loss.per_step(outputs, data.targets)[mask]
    inside = (outputs[..., :1] <= data.targets) & (data.targets <= outputs[..., 2:])
    own = {"pinball": float(steps.mean()), "coverage": float(inside[mask].double().mean())}
    assert found == pytest.approx({"loss": float(steps.sum()) / 4, **own})


def trainer(loss: losses.Loss, clip: Any = None, lr: float = 0.1) -> TruncatedBPTT:
    model = build("elman")
    optimizer = torch.optim.SGD(model.parameters(), lr)
    return TruncatedBPTT(model, loss, optimizer, clip or NoClip(), None, 4)


def clipped(bptt: TruncatedBPTT) -> list[Clipped]:
    return [update.clipped for update in bptt.updates(batch(12, 4, 3))]


def weights(model: RecurrentModel) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_scaled_gradient_is_that_of_the_loss_over_the_norm_of_the_first() -> None:
    plain, scaled = clipped(trainer(MSE(), lr=0.0)), clipped(trainer(MSE(scale="initial"), lr=0.0))
    first = plain[0].total
    assert len(plain) == 3
    for one, other in zip(plain, scaled, strict=True):
        torch.testing.assert_close(other.total, one.total / first)
        torch.testing.assert_close(other.parameters, one.parameters / first)


def test_losses_that_differ_by_a_factor_train_alike_under_one_threshold_once_they_are_scaled() -> None:
    trained = {}
    for scale in ("none", "initial"):
        for over_time in ("mean", "sum"):
            bptt = trainer(MSE(over_time, scale), ClipNorm(0.9))
            clipped(bptt)
            trained[scale, over_time] = weights(bptt.model)
    torch.testing.assert_close(trained["initial", "mean"], trained["initial", "sum"])
    assert not torch.allclose(trained["none", "mean"], trained["none", "sum"], atol=1e-3)


@pytest.mark.parametrize("first", [0.0, math.inf, math.nan])
def test_a_first_gradient_that_is_zero_or_not_finite_divides_nothing(first: float) -> None:
    loss = MSE(scale="initial")
    loss.rescale(gradients := [torch.full((2,), first), torch.zeros(3)])
    loss.rescale(others := [torch.ones(2), torch.ones(3)])
    assert [str(x) for x in torch.cat(gradients).tolist()] == [str(first)] * 2 + ["0.0"] * 3
    assert torch.cat(others).tolist() == [1.0] * 5


def test_a_probe_before_the_first_update_does_not_decide_the_scale() -> None:
    bptt, untouched = (trainer(MSE(scale="initial")) for _ in range(2))
    Geometry.measure(full_plan("geometry"), bptt, batch(12, 4, 3))
    assert bptt.loss.initial_norm is None
    clipped(bptt)
    clipped(untouched)
    assert torch.equal(weights(bptt.model), weights(untouched.model))


def test_sharpness_is_that_of_the_scaled_loss() -> None:
    plain, scaled = trainer(MSE(), lr=0.0), trainer(MSE(scale="initial"), lr=0.0)
    data = batch(12, 4, 3)
    assert math.isnan(sharpness(scaled, data, 5).largest)  # nothing has said yet by what steps are divided
    clipped(scaled)
    expected = sharpness(plain, data, 5).largest / scaled.loss.divisor
    assert sharpness(scaled, data, 5).largest == pytest.approx(expected)


def test_a_copy_of_a_trainer_goes_on_with_its_scale() -> None:
    bptt = trainer(MSE(scale="initial"))
    clipped(bptt)
    copied = copy.deepcopy(bptt)
    clipped(bptt)
    clipped(copied)
    assert torch.equal(weights(bptt.model), weights(copied.model))
