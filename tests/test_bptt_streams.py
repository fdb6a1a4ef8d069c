"""Truncated BPTT along a stream that comes in batches: gradients reach back across their borders."""

import pytest
import torch
from torch import Tensor

from study.learning.bptt import TruncatedBPTT, Window, stream_lengths, windows
from study.models import RecurrentModel, State, detach
from study.schema.bptt import TruncatedBPTTConfig
from study.tasks.contract import Batch
from tests.unrolled import MEAN, WIDTH, assert_equal, build, gradients, make, trainer

pytestmark = pytest.mark.usefixtures("double_precision")


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
def test_a_record_without_the_rule_is_told_apart_where_its_windows_were_others(time: int) -> None:
    lengths = [None, *range(1, 13)]
    accepted = [(k1, k2) for k1 in lengths for k2 in lengths if k1 is None or (k1 <= time and (k2 is None or k1 <= k2))]
    for k1, k2 in accepted:
        plan = TruncatedBPTTConfig(name="truncated", k1=k1, k2=k2, update="window")
        old = old_windows(time, k1, k2)
        if k2 is None or k2 <= time:
            assert plan.changed_since("1", time, False) == (old != windows(time, k1, k2)), (k1, k2)
        stride, far = stream_lengths(k1, k2, time)
        lag = far - stride
        moved = [Window(w.start + lag, w.first + lag, w.stop + lag) for w in old]
        assert plan.changed_since("1", time, True) == (moved != windows(time, stride, far, past=lag)), (k1, k2)
        assert not plan.changed_since("2", time, True), (k1, k2)


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
