"""Truncated backpropagation through time, against references that know nothing of windows."""

from itertools import pairwise
from typing import Any

import pytest
import torch

from study.learning.bptt import Carry, TruncatedBPTT, count, windows
from study.learning.losses import Loss
from study.models import Inputs, RecurrentModel
from study.schema.model import MODELS
from study.tasks.contract import Batch
from study.verify.networks import Linear, orthogonal
from tests.members import LearntStart
from tests.unrolled import (
    FEATURES,
    MEAN,
    NAMES_AND_PLANS,
    PLANS,
    SUM,
    TIME,
    WIDTH,
    Spy,
    assert_equal,
    build,
    cut,
    gradients,
    make,
    trainer,
    within_reach,
)

pytestmark = pytest.mark.usefixtures("double_precision")


@pytest.mark.parametrize("k2", [None, TIME, TIME + 7])
@pytest.mark.parametrize("k1", range(1, TIME + 1))
def test_full_bptt_is_full_bptt_however_often_an_update_is_made(k1: int, k2: int | None) -> None:
    network, batch = build("gru"), make()
    truncated, _ = trainer(network, SUM, k1=k1, k2=k2)
    truncated.backward(batch)
    full = SUM.total(network(batch.inputs)[0], batch.targets, None) / WIDTH
    assert_equal([p.grad for p in network.parameters() if p.grad is not None], gradients(network, full))


@pytest.mark.parametrize("k2", [None, TIME, TIME + 7])
@pytest.mark.parametrize("name", MODELS)
def test_reaching_back_the_whole_sequence_is_full_bptt(name: str, k2: int | None) -> None:
    network, batch = build(name), make()
    truncated, spy = trainer(network, k2=k2)
    (update,) = truncated.updates(batch)
    outputs, _ = network(batch.inputs)
    full = (outputs - batch.targets).square().mean()
    torch.testing.assert_close(update.loss, full.detach(), rtol=1e-12, atol=0)
    assert_equal(spy.seen[0], gradients(network, full))


@pytest.mark.parametrize("mask", [None, "padded", "sparse"])
@pytest.mark.parametrize(("name", "plan"), NAMES_AND_PLANS)
def test_the_gradient_of_a_sequence_holds_exactly_the_terms_within_reach(
    name: str, plan: tuple[int | None, int | None], mask: str | None
) -> None:
    network, batch, (k1, k2) = build(name), make(mask), plan
    truncated, spy = trainer(network, k1=k1, k2=k2, update="sequence")
    (update,) = truncated.updates(batch)
    reach = cut(batch.longest, k1, k2)
    reference = within_reach(network, MEAN, batch, reach, range(batch.longest)) / batch.steps
    torch.testing.assert_close(update.loss, reference.detach(), rtol=1e-12, atol=0)
    assert_equal(spy.seen[0], gradients(network, reference))


@pytest.mark.parametrize("mask", [None, "padded", "sparse"])
@pytest.mark.parametrize(("k1", "k2"), PLANS)
def test_the_gradient_of_a_window_holds_exactly_its_own_terms_within_reach(
    k1: int | None, k2: int | None, mask: str | None
) -> None:
    network, batch = build("gru"), make(mask)
    truncated, spy = trainer(network, k1=k1, k2=k2)
    updates = list(truncated.updates(batch))
    reach = cut(batch.longest, k1, k2)
    plan = [w for w in windows(batch.longest, k1, k2) if batch.between(w.first, w.stop).steps]
    for update, seen, window in zip(updates, spy.seen, plan, strict=True):
        steps = batch.between(window.first, window.stop).steps
        reference = within_reach(network, MEAN, batch, reach, range(window.first, window.stop)) / steps
        torch.testing.assert_close(update.loss, reference.detach(), rtol=1e-12, atol=0)
        assert_equal(seen, gradients(network, reference))


@pytest.mark.parametrize(("name", "plan"), NAMES_AND_PLANS)
def test_no_gradient_crosses_a_detach(name: str, plan: tuple[int | None, int | None]) -> None:
    network, (k1, k2) = build(name), plan
    reach = cut(TIME, k1, k2)
    for t in range(TIME):
        inputs = torch.randn(TIME, WIDTH, FEATURES, requires_grad=True)
        outputs, _ = network(inputs)
        targets = outputs.detach().clone()
        targets[t] += 1.0  # the loss of every other step has no gradient
        truncated, _ = trainer(network, k1=k1, k2=k2)
        truncated.backward(Batch(inputs, targets))
        assert inputs.grad is not None
        norms = inputs.grad.norm(dim=(1, 2))
        crossing = [*norms[: reach(t)], *norms[t + 1 :]]
        assert all(norms[reach(t) : t + 1] > 1e-9)
        assert all(norm < 1e-13 for norm in crossing)


def test_the_carry_is_cut_off_between_batches_too() -> None:
    network, batch = build("lstm"), make()
    _, carry = network(batch.inputs)
    truncated, _ = trainer(network, k2=4)
    list(truncated.updates(batch, Carry(carry, None)))
    assert truncated.carry is not None
    assert not any(part.requires_grad for part in truncated.carry.state or ())
    entering = tuple(part.detach().requires_grad_() for part in carry)
    truncated.backward(batch, Carry(entering, None))
    assert all(part.grad is None for part in entering)


@pytest.mark.parametrize("sizes", [[11], [1] * 11, [4, 4, 3], [2, 7, 1, 1], [10, 1]])
@pytest.mark.parametrize("name", MODELS)
def test_any_split_of_a_sequence_gives_the_same_outputs_and_state(name: str, sizes: list[int]) -> None:
    network, inputs = build(name), make().inputs
    whole, last = network(inputs)
    parts, state = [], None
    for piece in inputs.split(sizes):
        outputs, state = network(piece, state)
        parts.append(outputs)
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-12, atol=1e-14)
    assert state is not None
    assert_equal(list(state), list(last))


@pytest.mark.parametrize(("k1", "k2"), PLANS)
def test_truncation_changes_neither_the_loss_nor_the_carry_of_frozen_weights(k1: int | None, k2: int | None) -> None:
    network, batch = build("lstm"), make()
    outputs, state = network(batch.inputs)
    truncated, _ = trainer(network, SUM, k1=k1, k2=k2)
    loss = truncated.backward(batch)
    torch.testing.assert_close(loss, (outputs - batch.targets).square().mean(-1).sum().detach() / WIDTH)
    assert truncated.carry is not None
    assert_equal(list(truncated.carry.state or ()), list(state))


@pytest.mark.parametrize("k2", range(1, 13))
def test_the_gradient_of_a_linear_network_grows_with_k2_as_the_closed_form_says(k2: int) -> None:
    """h_t = w h_{t-1} + x_t, x = (1, 0, 0, ...): h_t = w^t, and each of k2 steps adds w^{T-2} to d h_{T-1} / d w."""
    time, w = 12, 0.9
    core = Linear(torch.tensor([[w]]), 1)
    network = RecurrentModel(Inputs(1, tokens=False), core, 1)
    for parameter, value in ((core.inputs.weight, 1.0), (network.head.weight, 1.0), (network.head.bias, 0.0)):
        torch.nn.init.constant_(parameter, value)
    inputs = torch.zeros(time, 1, 1)
    inputs[0] = 1.0
    targets = torch.tensor([w**t for t in range(time)])[:, None, None]
    targets[-1] -= 0.5  # d (h - y)^2 / d h = 1 at the last step, 0 before
    truncated, _ = trainer(network, SUM, k1=1, k2=k2)
    truncated.backward(Batch(inputs, targets))
    assert core.weight.grad is not None
    assert core.weight.grad.item() == pytest.approx(min(k2, time - 1) * w ** (time - 2), rel=1e-12)


@pytest.mark.parametrize(("k1", "k2"), PLANS)
def test_the_gradient_of_a_linear_network_is_the_closed_form_of_its_truncation(k1: int | None, k2: int | None) -> None:
    """dL/dW = sum_t sum_{s = cut(t)..t} (W^T)^{t-s} dL_t/dh_t h_{s-1}^T, with h_t = sum_j W^j V x_{t-j}."""
    weight = 0.9 * orthogonal(5)
    core, batch = Linear(weight, FEATURES), make()
    network = RecurrentModel(Inputs(FEATURES, tokens=False), core, 2)
    entering, readout = core.inputs.weight, network.head.weight
    powers = [torch.linalg.matrix_power(weight, j) for j in range(TIME)]
    hidden = [sum(batch.inputs[t - j] @ (powers[j] @ entering).T for j in range(t + 1)) for t in range(TIME)]
    reach, expected = cut(TIME, k1, k2), torch.zeros_like(weight)
    for t in range(TIME):
        upstream = (hidden[t] @ readout.T + network.head.bias - batch.targets[t]) @ readout / WIDTH
        for s in range(max(1, reach(t)), t + 1):
            expected += (upstream @ powers[t - s]).T @ hidden[s - 1]
    truncated, _ = trainer(network, SUM, k1=k1, k2=k2)
    truncated.backward(batch)
    torch.testing.assert_close(core.weight.grad, expected.detach(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("time", [1, 2, 7, 12])
@pytest.mark.parametrize(("k1", "k2"), PLANS)
def test_every_step_is_counted_in_exactly_one_window_and_reaches_as_far_as_stated(
    time: int, k1: int | None, k2: int | None
) -> None:
    plan, reach = windows(time, k1, k2), cut(time, k1, k2)
    assert [t for window in plan for t in range(window.first, window.stop)] == list(range(time))
    assert all(window.start == reach(t) for window in plan for t in range(window.first, window.stop))
    assert all(0 < window.stop - window.start <= (k2 or time) for window in plan)


@pytest.mark.parametrize("update", ["window", "sequence"])
@pytest.mark.parametrize("mask", [None, "padded", "sparse"])
@pytest.mark.parametrize(("k1", "k2"), PLANS)
def test_the_announced_number_of_updates_is_made(k1: int | None, k2: int | None, mask: str | None, update: Any) -> None:
    batch = make(mask)
    truncated, spy = trainer(build("elman"), k1=k1, k2=k2, update=update)
    assert len(list(truncated.updates(batch))) == len(spy.seen) == count(batch, k1, k2, update)


def test_an_update_moves_the_parameters_by_the_gradient_and_forgets_it() -> None:
    network, batch = build("elman"), make()
    before = [p.detach().clone() for p in network.parameters()]
    truncated, spy = trainer(network, lr=0.5)
    list(truncated.updates(batch))
    moved = [old - new for old, new in zip(before, network.parameters(), strict=True)]
    assert_equal([m.detach() for m in moved], [0.5 * g for g in spy.seen[0]])
    assert all(p.grad is None for p in network.parameters())


def test_a_parameter_that_a_loss_does_not_reach_has_a_gradient_of_zero_which_the_optimizer_sees() -> None:
    network, batch = RecurrentModel(Inputs(FEATURES, tokens=False), LearntStart(FEATURES, 5, 2), 2), make()
    sgd, spy = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9), Spy()
    start = network.core.get_parameter("start")
    place = [name for name, _ in network.named_parameters()].index("core.start")
    seen = [start.detach().clone()]
    for _ in TruncatedBPTT(network, MEAN, sgd, spy, k2=4).updates(batch):
        seen.append(start.detach().clone())
    first, *later = (gradients[place] for gradients in spy.seen)
    assert len(later) == 2
    assert first.any()
    assert not any(gradient.any() for gradient in later)
    steps = [after - before for before, after in pairwise(seen)]
    assert_equal(steps[1:], [0.9 * step for step in steps[:-1]])


@pytest.mark.parametrize(("k1", "k2"), [(2, 5), (1, 4)])
def test_a_learnt_start_has_a_gradient_in_every_window_that_reaches_back_to_it(k1: int, k2: int) -> None:
    network, batch = RecurrentModel(Inputs(FEATURES, tokens=False), LearntStart(FEATURES, 5), 2), make()
    truncated, spy = trainer(network, k1=k1, k2=k2)
    list(truncated.updates(batch))
    place = [name for name, _ in network.named_parameters()].index("core.start")
    reached = [bool(gradients[place].any()) for gradients in spy.seen]
    assert reached == [window.start == 0 for window in windows(TIME, k1, k2)]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("loss", [MEAN, SUM])
@pytest.mark.parametrize(("k1", "k2"), [(None, None), (4, 4), (2, 5)])
def test_what_padding_holds_changes_no_bit(name: str, loss: Loss, k1: int | None, k2: int | None) -> None:
    network, batch = build(name).float(), make("padded")
    assert batch.mask is not None
    seen = []
    for scale in (0.0, 10.0):  # two selective layers raise it to the 16th power
        padding = ~batch.mask[..., None] * scale
        inputs, targets = (values.float() + padding * torch.randn(values.shape) for values in batch[:2])
        truncated, spy = trainer(network, loss, k1=k1, k2=k2)
        kept = [update.loss for update in truncated.updates(Batch(inputs.float(), targets.float(), batch.mask))]
        seen.append([*kept, *(g for gradients in spy.seen for g in gradients)])
    assert all(torch.equal(one, other) for one, other in zip(*seen, strict=True))
