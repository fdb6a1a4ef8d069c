"""Probes on a schedule: when they are due, what they keep, and that training never notices."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from study.learning.bptt import TruncatedBPTT
from study.learning.clipping import ClipNorm
from study.models import State
from study.probes.flow import Flow
from study.probes.schedule import NEVER, Schedule
from study.probes.suite import PROBES, Probes
from study.schema import probe as schema
from study.verify.networks import MSE
from tests.networks import batch, build

NONE: dict[str, Any] = {
    "every": None, "per_decade": None, "flow": None, "lyapunov": None, "backpropagated": False, "truncation": None,
    "weights": False, "saturation": False, "geometry": None,
}  # fmt: skip
ALL: dict[str, Any] = {
    "flow": {"max_lag": 8, "samples": 4},
    "lyapunov": {"exponents": None, "sequences": 2},
    "backpropagated": True,
    "truncation": {"k2": [2, 4], "parts": 2},
    "weights": True,
    "saturation": True,
    "geometry": {"parts": 2},
    "sensitivity": {"draws": 2, "sequences": 3},
    "sharpness": {"iterations": 4},
    "alignment": {"split": None, "sequences": 3},
}


def plan(**changes: Any) -> schema.ProbeConfig:
    return schema.ProbeConfig.model_validate(NONE | changes)


def trainer(name: str) -> TruncatedBPTT:
    network = build(name, layers=2, dropout=0.3)
    return TruncatedBPTT(network, MSE, torch.optim.Adam(network.parameters(), 0.01), ClipNorm(0.1), None, 5)


def everything(bptt: TruncatedBPTT) -> dict[str, Any]:
    """All that training depends on, copied."""
    parameters = {name: (p.detach().clone(), p.grad) for name, p in bptt.model.named_parameters()}
    modes = [module.training for module in bptt.model.modules()]
    optimizer = copy.deepcopy(bptt.optimizer.state_dict())
    drawn = {"random": torch.get_rng_state(), "numpy": np.random.get_state(legacy=False)["state"]["pos"]}
    return {"parameters": parameters, "modes": modes, "optimizer": optimizer} | drawn


def train(bptt: TruncatedBPTT, probes: Probes | None) -> dict[str, Any]:
    """A few batches, the state carried from each to the next, probes taken after every update."""
    torch.manual_seed(5)
    np.random.seed(5)
    carry: State | None = None
    done = 0
    for _ in range(3):
        for _ in bptt.updates(batch(13, 4, 3), carry):
            done += 1
            if probes is not None and probes.due == done:
                probes.measure(done, bptt)
        carry = bptt.state
    assert carry is not None
    return everything(bptt) | {"carry": list(carry)}


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
@pytest.mark.parametrize("measure", list(PROBES))
def test_training_is_bitwise_the_same_with_a_probe_and_without(measure: str, name: str) -> None:
    bptt = trainer(name)
    probes = Probes(plan(every=1, **{measure: ALL[measure]}), [batch(12, 4, 3)], 4)
    probes.measure(0, bptt)
    torch.testing.assert_close(train(bptt, probes), train(trainer(name), None), rtol=0, atol=0)
    assert [taken.update for taken in probes.taken] == list(range(10))


@pytest.mark.parametrize("measure", list(PROBES))
def test_a_probe_leaves_gradients_that_are_there_as_they_are(measure: str) -> None:
    bptt = trainer("gru")
    bptt.backward(batch(13, 4, 3))
    before = copy.deepcopy({name: p.grad for name, p in bptt.model.named_parameters()})
    Probes(plan(**{measure: ALL[measure]}), [batch(12, 4, 3)], 4).measure(0, bptt)
    torch.testing.assert_close({name: p.grad for name, p in bptt.model.named_parameters()}, before, rtol=0, atol=0)


def test_every_measure_of_the_schema_has_a_probe() -> None:
    assert set(schema.ProbeConfig.model_fields) == {"every", "per_decade", *PROBES}


def test_a_schedule_names_the_start_every_nth_update_and_evenly_spaced_logarithms() -> None:
    def due(schedule: Schedule, last: int) -> list[int]:
        updates, update = [], schedule.first()
        while update <= last:
            updates.append(update)
            update = schedule.after(update)
        return updates

    assert due(Schedule(40, None), 130) == [0, 40, 80, 120]
    assert due(Schedule(None, 2), 1000) == [0, 1, 3, 10, 32, 100, 316, 1000]
    assert due(Schedule(None, 9), 10) == [0, 1, 2, 3, 4, 5, 6, 8, 10]
    assert due(Schedule(50, 1), 120) == [0, 1, 10, 50, 100]
    assert Schedule(None, None).first() == Schedule(None, None).after(7) == NEVER


def test_the_end_of_a_run_is_measured_once() -> None:
    bptt = trainer("elman")
    probes = Probes(plan(per_decade=1, flow=ALL["flow"]), [batch(12, 4, 3)], 4)
    for update in (0, 1, 10):
        probes.measure(update, bptt)
    probes.finish(10, bptt)
    assert [taken.update for taken in probes.taken] == [0, 1, 10]
    probes.finish(12, bptt)
    assert probes.taken[-1].update == 12
    assert isinstance(probes.last(Flow), Flow)


def test_nothing_asked_for_is_never_due_and_gives_nothing() -> None:
    probes = Probes(plan(every=1), [], 4)
    probes.finish(3, trainer("elman"))
    assert probes.due == NEVER
    assert (list(probes.points()), list(probes.tables()), probes.final) == ([], [], {})
    assert probes.last(Flow) is None


def test_the_frozen_batch_is_the_first_that_is_long_enough_or_else_the_longest() -> None:
    def lags(*lengths: int) -> int:
        probes = Probes(plan(flow=ALL["flow"]), [batch(length, 2, 3) for length in lengths], 4)
        probes.measure(0, trainer("elman"))
        flow = probes.last(Flow)
        assert isinstance(flow, Flow)
        return flow.lags

    assert lags(4, 9, 30) == 8
    assert lags(4, 7, 5) == 6


def test_scalars_are_told_once_and_tables_hold_every_update() -> None:
    bptt = trainer("lstm")
    probes = Probes(plan(every=1, **ALL), [batch(12, 4, 3)], 4)
    probes.measure(0, bptt)
    (update, scalars), *rest = probes.points()
    assert (update, rest) == (0, [])
    assert scalars["flow/at_horizon"] > 0
    assert len(scalars) <= 15
    probes.measure(1, bptt)
    assert [update for update, _ in probes.points()] == [1]
    tables = dict(probes.tables())
    assert set(tables) == set(PROBES)
    for table in tables.values():
        assert table.column_names[0] == "update"
        assert set(table["update"].to_pylist()) == {0, 1}
    assert len(tables["flow"]) == 2 * (2 + 2 * 3) * 9  # memory, joint; of both layers all, h, c


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30, 0.0])
@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_a_network_that_broke_can_be_measured_by_every_probe_all_the_same(name: str, value: float) -> None:
    bptt = trainer(name)
    for parameter in bptt.model.parameters():
        parameter.data.fill_(value)
    probes = Probes(plan(every=1, **ALL), [batch(12, 4, 3)], 4)
    probes.measure(0, bptt)
    assert set(dict(probes.tables())) == set(PROBES)
    assert len(list(probes.points())) == 1
    if not math.isfinite(value):
        assert probes.last(Flow).nonfinite == list(range(9))
