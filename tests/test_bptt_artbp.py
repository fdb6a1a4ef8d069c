"""ARTBP: the mean over all cuts is the gradient of full BPTT; windows have the length asked for."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from study.learning.bptt import Carry, TruncatedBPTT
from study.learning.bptt.artbp import ARTBP
from study.learning.clipping.none import NoClip
from study.models import RecurrentModel
from study.schema import Config
from study.schema.bptt import cut_probability, expected_windows
from study.tasks.contract import Batch
from study.verify.influence import chain, steady, theta
from study.verify.networks import MSE
from study.verify.truncations import FollowedARTBP
from tests.unrolled import MEAN, SUM, WIDTH, Spy, assert_equal, build, gradients, make

pytestmark = pytest.mark.usefixtures("double_precision")
Configure = Callable[..., Config]


def artbp(network: RecurrentModel, loss: Any = MEAN, **plan: Any) -> tuple[FollowedARTBP, Spy]:
    spy = Spy()
    return FollowedARTBP(network, loss, torch.optim.SGD(network.parameters(), lr=0.0), spy, **plan), spy


def full_gradient(network: RecurrentModel, loss: Any, batch: Batch) -> list[Tensor]:
    total = loss.total(network(batch.inputs)[0], batch.targets, batch.mask)
    return gradients(network, total / loss.normaliser(WIDTH, batch.steps))


def mean_over_cuts(trainer: FollowedARTBP, spy: Spy, places: int, train: Callable[[], object]) -> list[Tensor]:
    """The sum of all updates' gradients of `train`, in the mean over all patterns of cuts."""
    total, chances = [torch.zeros_like(p) for p in trainer.model.parameters()], 0.0
    for pattern in itertools.product([False, True], repeat=places):
        trainer.follow(pattern)
        spy.seen.clear()
        train()
        chances += trainer.chance
        for updates in spy.seen:
            torch._foreach_add_(total, updates, alpha=trainer.chance)
    assert chances == pytest.approx(1)
    return total


@pytest.mark.parametrize("mask", [None, "padded", "sparse"])
@pytest.mark.parametrize("alpha", [None, 3.0])
@pytest.mark.parametrize(("name", "loss", "block"), [("lstm", MEAN, 1), ("gru", SUM, 2), ("elman", MEAN, 2)])
def test_the_mean_of_all_cuts_is_the_gradient_of_full_bptt(
    name: str, loss: Any, block: int, alpha: float | None, mask: str | None
) -> None:
    network, batch = build(name), make(mask, time=7)
    full = full_gradient(network, loss, batch)
    places = math.ceil(batch.longest / block) - 1
    trainer, spy = artbp(network, loss, length=2 * block + 1, alpha=alpha, block=block, update="sequence")
    found = mean_over_cuts(trainer, spy, places, lambda: list(trainer.updates(batch)))
    assert_equal(found, full)


@pytest.mark.parametrize(("loss", "mask"), [(MEAN, None), (MEAN, "sparse"), (SUM, "padded")])
def test_updates_of_windows_sum_up_to_the_full_gradient_times_their_mean_number(loss: Any, mask: str | None) -> None:
    network, batch = build("gru"), make(mask, time=7)
    full = full_gradient(network, loss, batch)
    plan: dict[str, Any] = {"length": 3, "alpha": 3.0, "block": 1}
    trainer, spy = artbp(network, loss, **plan)
    found = mean_over_cuts(trainer, spy, batch.longest - 1, lambda: list(trainer.updates(batch)))
    times = 1.0 if loss is SUM else ARTBP.expected_updates(batch, None, update="window", **plan)
    assert_equal(found, [times * g for g in full])


@pytest.mark.parametrize(("size", "block"), [(2, 1), (3, 1), (4, 2), (2, 3)])
def test_on_a_stream_windows_go_on_across_batches_and_their_mean_is_full_bptt_of_all_of_it(
    size: int, block: int
) -> None:
    network, batch, length = build("lstm"), make(time=6), 4
    full = [g * 6 / length for g in full_gradient(network, MEAN, batch)]
    trainer, spy = artbp(network, length=length, alpha=None, block=block, stream=size)

    def read() -> None:
        carry: Carry | None = None
        for first in range(0, 6, size):
            list(trainer.updates(batch.between(first, first + size), carry))
            carry = trainer.carry
        assert carry is not None
        assert carry.past is None

    # The last window must end with the stream, or its losses would be dropped: only such cuts are looked at.
    total = [torch.zeros_like(p) for p in network.parameters()]
    for pattern in itertools.product([False, True], repeat=6 // block - 1):
        trainer.follow((*pattern, True))
        spy.seen.clear()
        read()
        since = 6 // block - max((i + 1 for i, cut in enumerate(pattern) if cut), default=0)
        chance = trainer.chance / cut_probability(length / block, None, since)
        for updates in spy.seen:
            torch._foreach_add_(total, updates, alpha=chance)
    assert_equal(total, full)


def test_a_window_without_an_end_makes_no_update_and_is_kept() -> None:
    trainer, spy = artbp(build("gru"), length=50, block=1, stream=3)
    batch = make(time=6)
    trainer.follow([False] * 6)
    assert not list(trainer.updates(batch.between(0, 3)))
    assert not list(trainer.updates(batch.between(3, 6), trainer.carry))
    assert trainer.carry is not None
    assert trainer.carry.past is not None
    torch.testing.assert_close(trainer.carry.past.inputs, batch.inputs)
    assert not spy.seen


@pytest.mark.parametrize("alpha", [None, 2.5, 4.0, 6.0])
@pytest.mark.parametrize("length", [1.5, 4.0, 20.0])
def test_windows_have_the_length_asked_for_in_the_mean(length: float, alpha: float | None) -> None:
    """What is left after 50 blocks is a window of the same kind: c there is that of the start of a longer one."""
    lasting, mean = 1.0, 0.0
    for since in range(1, 51):
        mean += lasting
        lasting *= 1 - cut_probability(length, alpha, since)
        assert 0 < cut_probability(length, alpha, since) < 1
    rest = length if alpha is None else length + 50 / (alpha - 2)
    assert cut_probability(rest, alpha, 1) == pytest.approx(cut_probability(length, alpha, 51))
    assert mean + lasting * rest == pytest.approx(length)


@pytest.mark.parametrize("alpha", [None, 3.0])
@pytest.mark.parametrize("counting", [(True,) * 6, (False,) * 5 + (True,), (True, False, False, True, False, True)])
def test_the_announced_number_of_windows_is_the_mean_over_all_cuts(
    counting: tuple[bool, ...], alpha: float | None
) -> None:
    mean = 0.0
    for pattern in itertools.product([False, True], repeat=5):
        chance, start, found = 1.0, 0, 0
        for stop, cut in enumerate((*pattern, True), 1):
            if stop < 6:
                probability = cut_probability(2.5, alpha, stop - start)
                chance *= probability if cut else 1 - probability
            if cut:
                found += any(counting[start:stop])
                start = stop
        mean += chance * found
    assert expected_windows(2.5, alpha, counting) == pytest.approx(mean)


def test_cuts_are_repeated_by_their_seed_and_continued_by_their_state() -> None:
    def lengths(trainer: ARTBP) -> list[float]:
        return [float(update.records["bptt/k2"]) for _ in range(5) for update in trainer.updates(make(time=40))]

    network = build("elman")
    rest = torch.optim.SGD(network.parameters(), lr=0.0)
    one, same, other = (ARTBP(network, MEAN, rest, Spy(), 8, None, 2, seed=seed) for seed in (1, 1, 2))
    first = lengths(one)
    assert lengths(same) == first != lengths(other)
    other.load_state_dict(one.state_dict())
    assert lengths(other) == lengths(one) != first
    assert sum(first) == 5 * 40


def balanced(kind: type[TruncatedBPTT], **plan: Any) -> float:
    """What becomes of theta in a chain of five units, along a stream; -1/2 solves it."""
    network = chain(units=5, positive=2)
    learnt, carry = theta(network), None
    trainer = kind(network, MSE, torch.optim.SGD([learnt], lr=0.01), NoClip(), stream=20, **plan)
    for _ in range(40):
        list(trainer.updates(steady(20), carry))
        carry = trainer.carry
    return float(learnt.detach())


def test_random_cuts_of_few_steps_arrive_where_a_truncation_to_as_many_descends_the_wrong_way() -> None:
    assert balanced(ARTBP, length=6, alpha=4.0, block=1) == pytest.approx(-0.5, abs=1e-3)
    assert balanced(TruncatedBPTT, k2=6) > 100
