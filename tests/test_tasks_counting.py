"""Claims about tasks that ask at some steps only: what is not asked makes no update, but is read."""

import pytest
import torch

from study.learning.bptt import TruncatedBPTT, count
from study.learning.clipping.none import NoClip
from study.learning.losses.binary_cross_entropy import BinaryCrossEntropy
from study.learning.losses.cross_entropy import CrossEntropy
from study.learning.losses.mse import MSE
from study.models import Inputs, RecurrentModel
from study.models.cells.gru import GRU
from study.tasks import Batch


def network() -> RecurrentModel:
    torch.manual_seed(0)
    return RecurrentModel(Inputs(2, tokens=False), GRU(2, 5), 1).double()


def asked_at(*steps: int, time: int = 12) -> Batch:
    """Three sequences whose targets count at some steps."""
    draws = torch.Generator().manual_seed(1)
    inputs, targets = (torch.randn(time, 3, n, generator=draws).double() for n in (2, 1))
    mask = torch.zeros(time, 3, dtype=torch.bool)
    mask[list(steps)] = True
    return Batch(inputs, targets, mask)


def trainer(model: RecurrentModel, k2: int | None) -> TruncatedBPTT:
    return TruncatedBPTT(model, MSE(), torch.optim.SGD(model.parameters(), 0.1), NoClip(), None, k2)


@pytest.mark.parametrize(("steps", "k2", "updates"), [((11,), 4, 1), ((11,), None, 1), ((0, 5, 6), 4, 2), ((2,), 1, 1)])
def test_a_window_makes_an_update_only_if_something_counts_in_it(
    steps: tuple[int, ...], k2: int | None, updates: int
) -> None:
    batch = asked_at(*steps)
    done = list(trainer(network(), k2).updates(batch))
    assert len(done) == count(batch, None, k2, "window") == updates
    assert all(update.loss.isfinite() for update in done)


def test_steps_that_do_not_count_are_read_for_the_state_they_leave() -> None:
    batch, model = asked_at(11), network()
    outputs, _ = model(batch.inputs)
    expected = (outputs[-1] - batch.targets[-1]).square().mean()
    (update,) = trainer(model, 4).updates(batch)
    torch.testing.assert_close(update.loss, expected.detach())


def test_a_gradient_flows_k2_steps_back_from_the_step_that_counts() -> None:
    batch, model = asked_at(11), network()
    trainer(model, 4).backward(batch)
    truncated = [torch.clone(parameter.grad) for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    _, state = model(batch.inputs[:8])
    outputs, _ = model(batch.inputs[8:], tuple(part.detach() for part in state))
    (outputs[-1] - batch.targets[-1]).square().mean().backward()
    torch.testing.assert_close([parameter.grad for parameter in model.parameters()], truncated)


def test_two_classes_may_be_learnt_with_either_cross_entropy() -> None:
    targets = torch.tensor([[0, 1, 1]])
    logit = torch.tensor([[[-1.0], [0.5], [2.0]]])
    both = torch.cat([torch.zeros_like(logit), logit], -1)
    one, two = BinaryCrossEntropy(), CrossEntropy()
    torch.testing.assert_close(one.total(logit, targets, None), two.total(both, targets, None))
    torch.testing.assert_close(one.predict(logit), two.predict(both))
