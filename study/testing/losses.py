"""The contract of losses, for pytest: what `study.learning.losses.contract` asks of every one."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from study.learning.losses import Loss, StepLoss
from study.schema.task import Kind

SIZES: dict[Kind, int] = {"regression": 2, "binary": 2, "multiclass": 4}
"""Values or classes of the targets drawn."""
LENGTHS = (5, 3, 1)
TIME, WIDTH = max(LENGTHS), len(LENGTHS)
MASK = torch.arange(TIME)[:, None] < torch.tensor(LENGTHS)

MakeLoss = Callable[[str], Loss]


def draw(loss: Loss, kind: Kind, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Outputs ~ scale N(0, 1), and targets; float64, the same at every call."""
    draws, size = torch.Generator().manual_seed(0), SIZES[kind]
    given = loss.outputs(size) + loss.constants(size)
    outputs = scale * torch.randn(TIME, WIDTH, given, generator=draws, dtype=torch.float64)
    if kind == "regression":
        return outputs, torch.randn(TIME, WIDTH, size, generator=draws, dtype=torch.float64)
    return outputs, torch.randint(size, (TIME, WIDTH), generator=draws)


def value(loss: Loss, outputs: Tensor, targets: Tensor, mask: Tensor | None = MASK) -> Tensor:
    """The loss of a whole batch, as training normalises it."""
    steps = TIME * WIDTH if mask is None else int(mask.sum())
    return loss.total(outputs, targets, mask) / loss.normaliser(WIDTH, steps)


def alone(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """The sum over every sequence of `LENGTHS` by itself."""
    parts = [(outputs[:length, b : b + 1], targets[:length, b : b + 1]) for b, length in enumerate(LENGTHS)]
    return torch.stack([loss.total(*part, None) for part in parts])


class LossContract:
    """Claims that hold for every loss; a subclass says how to make one, and for which targets."""

    @pytest.fixture
    def make_loss(self) -> MakeLoss:
        """Makes the loss for a value of `over_time`."""
        raise NotImplementedError

    @pytest.fixture
    def kind(self) -> Kind:
        """A kind of targets that it takes."""
        raise NotImplementedError

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_every_sequence_has_a_finite_loss(self, make_loss: MakeLoss, kind: Kind, dtype: torch.dtype) -> None:
        """In the precision of the outputs; a loss that is a sum over steps has one at every step."""
        loss = make_loss("mean")
        outputs, targets = draw(loss, kind)
        given = outputs.to(dtype), targets.to(dtype) if kind == "regression" else targets
        found = loss.per_step(*given) if isinstance(loss, StepLoss) else alone(loss, *given)
        assert found.shape == ((TIME, WIDTH) if isinstance(loss, StepLoss) else (WIDTH,))
        assert found.dtype == dtype
        assert torch.isfinite(found).all()

    def test_a_loss_of_steps_can_be_cut_into_windows_and_no_other_can(self, make_loss: MakeLoss, kind: Kind) -> None:
        """The losses of windows add up to that of the sequence, and a step's is of that step alone."""
        loss = make_loss("mean")
        outputs, targets = draw(loss, kind)
        outputs.requires_grad_()
        windows = loss.total(outputs[:2], targets[:2], None) + loss.total(outputs[2:], targets[2:], None)
        assert torch.isclose(windows, loss.total(outputs, targets, None)) == isinstance(loss, StepLoss)
        if isinstance(loss, StepLoss):
            (slope,) = torch.autograd.grad(loss.per_step(outputs, targets)[2, 1], outputs)
            assert slope[2, 1].any()
            slope[2, 1] = 0.0
            assert not slope.any()

    def test_the_mean_is_over_real_steps_and_the_sum_is_over_time(self, make_loss: MakeLoss, kind: Kind) -> None:
        """Of sequences of different lengths: the sum over time is a mean over sequences."""
        outputs, targets = draw(make_loss("mean"), kind)
        total = alone(make_loss("mean"), outputs, targets).sum()
        torch.testing.assert_close(value(make_loss("mean"), outputs, targets), total / sum(LENGTHS))
        torch.testing.assert_close(value(make_loss("sum"), outputs, targets), total / WIDTH)

    def test_without_padding_the_sum_and_its_gradient_are_the_length_times_the_mean(
        self, make_loss: MakeLoss, kind: Kind
    ) -> None:
        """So a clip threshold means another thing for each."""
        outputs, targets = draw(make_loss("mean"), kind)
        outputs.requires_grad_()
        mean, total = (value(make_loss(over_time), outputs, targets, None) for over_time in ("mean", "sum"))
        torch.testing.assert_close(total, TIME * mean)
        slopes = [torch.autograd.grad(loss, outputs, retain_graph=True)[0] for loss in (mean, total)]
        torch.testing.assert_close(slopes[1], TIME * slopes[0])

    @pytest.mark.parametrize("over_time", ["mean", "sum"])
    def test_padding_changes_no_bit_and_gets_no_gradient(self, make_loss: MakeLoss, kind: Kind, over_time: str) -> None:
        """Whatever outputs and targets hold there."""
        outputs, targets = draw(make_loss(over_time), kind)
        padding = ~MASK.view(MASK.shape + (1,) * (targets.ndim - 2))
        seen = []
        for shift, other in ((0.0, targets * 0), (1e6, targets)):
            padded = (outputs + shift * ~MASK[..., None]).requires_grad_()
            loss = value(make_loss(over_time), padded, torch.where(padding, other, targets))
            (slope,) = torch.autograd.grad(loss, padded)
            assert not slope[~MASK].any()
            seen.append((loss.detach(), slope))
        assert torch.equal(seen[0][0], seen[1][0])
        assert torch.equal(seen[0][1], seen[1][1])

    def test_the_gradient_is_the_derivative(self, make_loss: MakeLoss, kind: Kind) -> None:
        """Against finite differences, along a random direction."""
        outputs, targets = draw(make_loss("mean"), kind)
        outputs.requires_grad_()
        assert torch.autograd.gradcheck(lambda x: value(make_loss("mean"), x, targets), outputs, fast_mode=True)

    @pytest.mark.parametrize("scale", [1e3, 1e5])
    def test_extreme_outputs_have_a_finite_loss_and_gradient(
        self, make_loss: MakeLoss, kind: Kind, scale: float
    ) -> None:
        """A network that is about to diverge makes such outputs; the loss itself must not be what breaks."""
        outputs, targets = draw(make_loss("mean"), kind, scale)
        outputs.requires_grad_()
        loss = value(make_loss("mean"), outputs, targets)
        (slope,) = torch.autograd.grad(loss, outputs)
        assert torch.isfinite(loss)
        assert torch.isfinite(slope).all()

    def test_predictions_are_values_or_the_probabilities_of_every_class(self, make_loss: MakeLoss, kind: Kind) -> None:
        """The task's metrics take these, whatever was minimised."""
        loss = make_loss("mean")
        predictions = loss.predict(draw(loss, kind, scale=3.0)[0], MASK)
        assert predictions.shape == (TIME, WIDTH, SIZES[kind])
        assert torch.isfinite(predictions).all()
        if kind != "regression":
            assert (predictions >= 0).all()
            torch.testing.assert_close(predictions.sum(-1), torch.ones(TIME, WIDTH, dtype=torch.float64))

    def test_what_stands_in_the_padding_changes_no_prediction_and_no_measure(
        self, make_loss: MakeLoss, kind: Kind
    ) -> None:
        """Measures of its own are sums over real steps, finite, and under names in lower case."""
        loss = make_loss("mean")
        outputs, targets = draw(loss, kind)
        dirty = outputs + 1e6 * ~MASK[..., None]
        assert torch.equal(loss.predict(outputs, MASK)[MASK], loss.predict(dirty, MASK)[MASK])
        clean, found = (loss.measures(given, targets, MASK) for given in (outputs, dirty))
        torch.testing.assert_close(found, clean, rtol=0, atol=0)
        for name, total in clean.items():
            assert name.isidentifier(), name
            assert name.islower(), name
            assert total.shape == ()
            assert torch.isfinite(total)
