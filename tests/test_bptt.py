"""Truncated backpropagation through time, against references that know nothing of windows."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from study.learning.bptt import Carry, TruncatedBPTT, Window, count, stream_lengths, windows
from study.learning.clipping import Clip, Clipped
from study.learning.clipping.none import NoClip
from study.learning.losses import Loss
from study.learning.losses.mse import MSE
from study.models import Inputs, RecurrentModel, State, detach
from study.schema.bptt import BPTTConfig
from study.schema.model import MODELS
from study.tasks.contract import Batch
from study.verify.networks import Linear, orthogonal
from tests.members import LearntStart

TIME, WIDTH, FEATURES = 11, 3, 4
PLANS = [(1, 1), (3, 3), (4, 4), (1, 4), (2, 5), (3, 4), (2, 10), (5, 11), (11, 11), (4, 30), (None, 4), (None, None)]
SUM = MSE("sum")
MEAN = MSE()


@pytest.fixture(autouse=True)
def _double_precision(_plain_torch: None) -> None:
    torch.set_default_dtype(torch.float64)


def build(name: str, layers: int = 2) -> RecurrentModel:
    core = MODELS.implementation(name)(FEATURES, 5, layers, gain=1.2)
    return RecurrentModel(Inputs(FEATURES, tokens=False), core, 2)


def make(mask: str | None = None, time: int = TIME) -> Batch:
    """Some sequences; `padded` at their ends, or asked about only at a few `sparse` steps."""
    steps = torch.arange(time)[:, None]
    masks = {"padded": steps < torch.tensor([time - 2, 5, 1]), "sparse": steps == torch.tensor([time - 1, 5, 4])}
    return Batch(torch.randn(time, WIDTH, FEATURES), torch.randn(time, WIDTH, 2), masks[mask] if mask else None)


class Spy(Clip):
    """Keeps every gradient an optimizer step sees."""

    def __init__(self) -> None:
        self.seen: list[list[Tensor]] = []

    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        self.seen.append([g.clone() for g in gradients])
        return NoClip()(gradients, parameters)


def trainer(network: RecurrentModel, loss: Loss = MEAN, lr: float = 0.0, **plan: Any) -> tuple[TruncatedBPTT, Spy]:
    spy = Spy()
    return TruncatedBPTT(network, loss, torch.optim.SGD(network.parameters(), lr=lr), spy, **plan), spy


def gradients(network: RecurrentModel, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters())))


def assert_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


def run_stepwise(network: RecurrentModel, inputs: Tensor, state: State | None) -> Iterator[tuple[Tensor, State]]:
    for t in range(len(inputs)):
        outputs, state = network(inputs[t : t + 1], state)
        yield outputs[0], state


def within_reach(network: RecurrentModel, loss: Loss, batch: Batch, cut: Callable[[int], int], steps: range) -> Tensor:
    """The sum of the losses of `steps`, each of whose graphs is unrolled anew from the state before step `cut(t)`."""
    states: list[State | None] = [None, *(detach(s) for _, s in run_stepwise(network, batch.inputs, None))]
    total = torch.zeros(())
    for t in steps:
        *_, (outputs, _) = run_stepwise(network, batch.inputs[cut(t) : t + 1], states[cut(t)])
        step = batch.between(t, t + 1)
        total = total + loss.total(outputs[None], step.targets, step.mask)
    return total


def cut(time: int, k1: int | None, k2: int | None) -> Callable[[int], int]:
    """Where the gradient of step t's loss ends: Williams & Peng's h steps before its window's end."""
    if k2 is None or k2 >= time:
        return lambda t: 0
    stride = k1 or k2
    return lambda t: max(0, (t // stride + 1) * stride - k2)


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
@pytest.mark.parametrize(("k1", "k2"), PLANS)
@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_of_a_sequence_holds_exactly_the_terms_within_reach(
    name: str, k1: int | None, k2: int | None, mask: str | None
) -> None:
    network, batch = build(name), make(mask)
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


@pytest.mark.parametrize(("k1", "k2"), PLANS)
@pytest.mark.parametrize("name", MODELS)
def test_no_gradient_crosses_a_detach(name: str, k1: int | None, k2: int | None) -> None:
    network, reach = build(name), cut(TIME, k1, k2)
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


def read_stream(truncated: TruncatedBPTT, stream: Batch, size: int) -> list[Tensor]:
    """Train on a stream in batches of `size` steps; the loss of every update."""
    losses, carry = [], None
    for first in range(0, len(stream.targets), size):
        losses += [u.loss for u in truncated.updates(stream.between(first, first + size), carry)]
        carry = truncated.carry
    return losses


def stream_windows(time: int, size: int, k1: int, k2: int) -> list[Window]:
    """The windows of a stream in steps of the whole of it: k1 steps each, none across a border of batches."""
    edges = [(a, min(a + size, time)) for a in range(0, time, size)]
    firsts = [(first, min(first + k1, stop)) for start, stop in edges for first in range(start, stop, k1)]
    return [Window(max(0, first + k1 - k2), first, stop) for first, stop in firsts]


def train_slowly(network: RecurrentModel, stream: Batch, plan: list[Window], lr: float) -> list[Tensor]:
    """The same step by step: every window from the state its predecessor left at its start, one SGD step each."""
    losses: list[Tensor] = []
    states: dict[int, State | None] = {0: None}
    for number, window in enumerate(plan):
        total, state = torch.zeros(()), states[window.start]
        passed: dict[int, State | None] = {window.start: state}
        for t in range(window.start, window.stop):
            outputs, state = network(stream.inputs[t : t + 1], state)
            passed[t + 1] = detach(state)
            if t >= window.first:
                total = total + MEAN.total(outputs, stream.targets[t : t + 1], None)
        loss = total / ((window.stop - window.first) * WIDTH)
        with torch.no_grad():
            for p, slope in zip(network.parameters(), gradients(network, loss), strict=True):
                p.sub_(lr * slope)
        following = plan[number + 1].start if number + 1 < len(plan) else window.stop
        states[following] = passed[following]
        losses.append(loss.detach())
    return losses


def old_windows(time: int, k1: int | None, k2: int | None) -> list[Window]:
    """Rule 1, as it stood: the same for a sequence and for every batch of a stream."""
    far = min(k2 or time, time)
    stride = min(k1 or far, far)
    return [Window(max(0, f + stride - far), f, min(f + stride, time)) for f in range(0, time, stride)]


@pytest.mark.parametrize("time", [1, 5, 6, 12])
@pytest.mark.parametrize("k2", [None, *range(1, 13)])
@pytest.mark.parametrize("k1", [None, *range(1, 13)])
def test_a_record_without_the_rule_is_told_apart_where_its_windows_were_others(
    k1: int | None, k2: int | None, time: int
) -> None:
    if k1 is not None and (k1 > time or (k2 is not None and k1 > k2)):
        return  # refused by the schema
    plan = BPTTConfig(k1=k1, k2=k2, update="window")
    if k2 is None or k2 <= time:
        assert plan.changed_since("1", time, False) == (old_windows(time, k1, k2) != windows(time, k1, k2))
    stride, far = stream_lengths(k1, k2, time)
    second = windows(time, stride, far, past=far - stride)
    moved = [
        Window(w.start + far - stride, w.first + far - stride, w.stop + far - stride) for w in old_windows(time, k1, k2)
    ]
    assert plan.changed_since("1", time, True) == (moved != second)
    assert not plan.changed_since("2", time, True)


STREAMS = [(k1, k2) for k1 in (1, 2, 3, 4, 5) for k2 in (1, 2, 3, 5, 7, 8, 13, 40) if k1 <= k2]


@pytest.mark.parametrize(("k1", "k2"), [*STREAMS, (None, 5), (None, 8), (None, None), (2, None)])
@pytest.mark.parametrize("time", [20, 23])
def test_on_a_stream_every_loss_reaches_back_across_the_borders_of_batches(
    time: int, k1: int | None, k2: int | None
) -> None:
    size, batch = 5, make(time=time)
    torch.manual_seed(0)
    network, twin = build("gru"), build("gru")
    twin.load_state_dict(network.state_dict())
    truncated, _ = trainer(network, lr=0.5, k1=k1, k2=k2, stream=size)
    found = read_stream(truncated, batch, size)
    plan = stream_windows(time, size, *stream_lengths(k1, k2, size))
    expected = train_slowly(twin, batch, plan, 0.5)
    assert_equal(found, expected)
    assert_equal(list(network.parameters()), list(twin.parameters()))


@pytest.mark.parametrize(("k1", "k2"), STREAMS)
def test_all_but_the_first_losses_of_a_stream_reach_k2_less_k1_to_k2_less_one_steps(k1: int, k2: int) -> None:
    for window in stream_windows(60, 5, k1, k2):
        for step in range(window.first, window.stop):
            assert step - window.start <= k2 - 1
            assert step - window.start >= min(k2 - k1, window.first)


def test_a_stream_carries_no_more_past_than_its_windows_reach_into() -> None:
    truncated, _ = trainer(build("gru"), k1=2, k2=7, stream=4)
    read_stream(truncated, make(time=20), 4)
    assert truncated.carry is not None
    assert truncated.carry.past is not None
    assert len(truncated.carry.past.inputs) == 5


def test_a_stream_in_batches_trains_as_one_long_sequence_in_windows() -> None:
    batch = make(time=12)
    ends = []
    for size in (12, 4, 8):
        torch.manual_seed(0)
        network = build("gru")
        truncated, _ = trainer(network, k2=4, lr=0.1, stream=size)
        read_stream(truncated, batch, size)
        ends.append([p.detach().clone() for p in network.parameters()])
    assert_equal(ends[1], ends[0])
    assert_equal(ends[2], ends[0])


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
    for scale in (0.0, 1e4):
        padding = ~batch.mask[..., None] * scale
        inputs, targets = (values.float() + padding * torch.randn(values.shape) for values in batch[:2])
        truncated, spy = trainer(network, loss, k1=k1, k2=k2)
        kept = [update.loss for update in truncated.updates(Batch(inputs.float(), targets.float(), batch.mask))]
        seen.append([*kept, *(g for gradients in spy.seen for g in gradients)])
    assert all(torch.equal(one, other) for one, other in zip(*seen, strict=True))
