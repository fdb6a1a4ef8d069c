"""Replicas computed as one program: each gets the gradient that it gets alone, in fewer operations."""

from collections.abc import Iterator

import pytest
import torch

from study.bench.replicas import alone, difference, keeps_bits, launches, record, replica, update
from study.bench.stacked_cores import can_be_stacked, together
from study.models import core_class
from study.schema.model import MODELS

STACKABLE = [name for name in MODELS if name != "own" and can_be_stacked(core_class(name)(1, 2))]
SHAPE, HIDDEN = (3, 7), 4


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_every_cell_can_be_stacked_but_those_that_scan() -> None:
    assert set(MODELS) - set(STACKABLE) - {"own"} == {"lru", "mingru", "minlstm", "selective"}


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("cell", STACKABLE)
def test_together_every_replica_gets_the_gradient_that_it_gets_alone(cell: str) -> None:
    assert difference([replica(cell, SHAPE, HIDDEN, seed) for seed in range(3)]) < 1e-12


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_so_do_the_written_out_layers_within_rounding_of_float32(cell: str) -> None:
    assert difference([replica(cell, SHAPE, HIDDEN, seed) for seed in range(3)]) < 1e-6


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("cell", ["gru", "mgu"])
def test_updates_together_lead_where_updates_alone_do(cell: str) -> None:
    stacked, apart = ([replica(cell, SHAPE, HIDDEN, seed) for seed in range(2)] for _ in range(2))
    for _ in range(3):
        update(stacked, together)
        for one in apart:
            update([one], alone)
    for mine, own in zip(stacked, apart, strict=True):
        torch.testing.assert_close(mine.model.state_dict(), own.model.state_dict(), rtol=1e-9, atol=1e-12)


def test_replicas_that_read_one_another_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    replicas = [replica("elman", SHAPE, HIDDEN, seed) for seed in range(2)]
    assert keeps_bits(replicas)
    mixed = lambda cores, inputs: [each + sum(x.sum() for x in inputs) for each in together(cores, inputs)]  # noqa: E731
    monkeypatch.setattr("study.bench.replicas.together", mixed)
    assert not keeps_bits(replicas)


def test_views_and_memory_set_aside_are_no_launches() -> None:
    def run() -> None:
        torch.empty_like(x).copy_(x).t().add_(1)[0].unbind()

    x = torch.ones(2, 3)
    assert launches(run, "cpu") == 2


def test_a_row_counts_fewer_launches_for_a_replica_of_several() -> None:
    row = record("elman", SHAPE, HIDDEN, 4, 1)
    assert 0 < row["launches_together"] < row["launches_alone"]
    assert row["updates_per_second"] > 0
