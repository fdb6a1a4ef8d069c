"""The contract of regularizers as tests: a penalty with a gradient, and nothing else changed."""

import copy
import io
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from study.learning.bptt import TruncatedBPTT, Update
from study.learning.clipping.none import NoClip
from study.learning.losses.mse import MSE
from study.learning.regularizers import PENALTY, Passage, Regularizer
from study.models import Inputs, RecurrentModel
from study.models.cells.elman import Elman
from study.tasks import Batch

MakeRegularizer = Callable[[], Regularizer]
TIME, WIDTH, FEATURES, HIDDEN = 7, 3, 2, 4
UPDATES = 4


def network(dropout: float = 0.0) -> RecurrentModel:
    """Always the same one, whatever was drawn before."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        core = Elman(FEATURES, HIDDEN, 2, dropout=dropout, gain=0.7)
        return RecurrentModel(Inputs(FEATURES, tokens=False), core, 1, dropout)


def draw(seed: int) -> Batch:
    """A batch whose sequences differ in length."""
    draws = torch.Generator().manual_seed(seed)
    inputs, targets = (torch.randn(TIME, WIDTH, size, generator=draws) for size in (FEATURES, 1))
    return Batch(inputs, targets, torch.arange(TIME)[:, None] < torch.tensor([TIME, TIME, TIME - 2]))


def trainer(
    regularizer: Regularizer | None, model: RecurrentModel | None = None, k2: int | None = None
) -> TruncatedBPTT:
    """Plain SGD, so that an update shows the gradient it was made of."""
    model = model or network()
    sgd = torch.optim.SGD(model.parameters(), 0.1)
    bptt = TruncatedBPTT(model, MSE(), sgd, NoClip(), k2=k2)
    bptt.regularizer = regularizer
    return bptt


def update(bptt: TruncatedBPTT, seed: int = 0) -> list[Update]:
    """All updates of one batch."""
    return list(bptt.updates(draw(seed)))


def weights(bptt: TruncatedBPTT) -> Tensor:
    """All parameters, end to end."""
    return torch.cat([p.detach().flatten() for p in bptt.model.parameters()])


class RegularizerContract:
    """Claims that hold for every regularizer that acts; a subclass says how to make a fresh one."""

    @pytest.fixture
    def make_regularizer(self) -> MakeRegularizer:
        """Makes a fresh one, which acts at its first update on a small Elman network."""
        raise NotImplementedError

    def test_the_penalty_is_a_number_beside_the_loss_and_moves_the_weights(
        self, make_regularizer: MakeRegularizer
    ) -> None:
        """The loss that is recorded is that of the task, as without it."""
        one, other = trainer(make_regularizer()), trainer(None)
        (found,), (plain,) = update(one), update(other)
        assert float(found.records[PENALTY]) > 0
        assert PENALTY not in plain.records
        assert torch.equal(found.loss, plain.loss)
        assert not torch.equal(weights(one), weights(other))

    def test_its_gradient_is_added_to_that_of_the_loss(self, make_regularizer: MakeRegularizer) -> None:
        """The update with it is the update without it and a step along the penalty's own gradient."""
        both, loss, regularizer = trainer(make_regularizer()), trainer(None), make_regularizer()
        start, model = weights(both), network()
        update(both)
        update(loss)
        regularizer.add_gradient(model, MSE(), Passage(draw(0), None, 0))
        own = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()])
        torch.testing.assert_close(weights(both) - start, weights(loss) - start - 0.1 * own)

    def test_windows_and_padding_are_taken(self, make_regularizer: MakeRegularizer) -> None:
        """Every update has its penalty, whatever the truncation, and none that is not a number."""
        for k2 in (None, 3, 1):
            found = update(trainer(make_regularizer(), k2=k2))
            assert all(math.isfinite(one.records[PENALTY]) for one in found)

    def test_nothing_is_drawn_and_dropout_is_off_and_on_again(self, make_regularizer: MakeRegularizer) -> None:
        """The training's own draws stay what they are without it."""
        one, other = trainer(make_regularizer(), network(0.5)), trainer(None, network(0.5))
        after = []
        for bptt in (one, other):
            torch.manual_seed(3)
            (found,) = update(bptt)
            after.append((found.loss, torch.get_rng_state(), [m.training for m in bptt.model.modules()]))
        assert torch.equal(after[0][0], after[1][0])
        assert torch.equal(after[0][1], after[1][1])
        assert after[0][2] == after[1][2]

    def test_a_restored_one_goes_on_to_the_same_bits(self, make_regularizer: MakeRegularizer) -> None:
        """An interrupted run resumes to the bits of one that was not; a checkpoint holds tensors and plain values."""
        first, file = trainer(make_regularizer()), io.BytesIO()
        for seed in range(UPDATES):
            update(first, seed)
        assert first.regularizer is not None
        second = trainer(make_regularizer(), copy.deepcopy(first.model))
        assert second.regularizer is not None
        torch.save(first.regularizer.state_dict(), file)
        file.seek(0)
        second.regularizer.load_state_dict(torch.load(file, weights_only=True))
        for seed in range(UPDATES, 2 * UPDATES):
            update(first, seed)
            update(second, seed)
            assert torch.equal(weights(first), weights(second))

    def test_a_network_that_diverged_raises_nothing(self, make_regularizer: MakeRegularizer) -> None:
        """A NaN is a result: it passes into the penalty or the gradient."""
        model = network()
        with torch.no_grad():
            model.get_parameter("core.weight_hh_l0").fill_(float("nan"))
        (found,) = update(trainer(make_regularizer(), model))
        assert not torch.isfinite(found.clipped.total)
