"""The contract of every probe there is, and probes on a schedule: when they are due, and what they keep."""

from typing import Any

import pytest

from study.probes.flow import Flow
from study.probes.result import ProbeResult
from study.probes.schedule import NEVER, Schedule
from study.probes.suite import Probes
from study.schema import probe as schema
from study.schema.probe import PROBES
from study.testing.probes import ProbeContract, full_plan, trainer
from tests.networks import batch

SHORT = {"max_lag": 8, "samples": 4}
CORE = "lstm"
FEWER: dict[str, dict[str, Any]] = {
    "truncation": {"k2": [2, 50], "parts": 2},
    "geometry": {"parts": 2},
    "sensitivity": {"draws": 1},
    "sharpness": {"iterations": 3},
}
"""Of the full plan, what only does the same more often: the claims are tried on every core."""


class TestRegisteredProbes(ProbeContract):
    @pytest.fixture(params=PROBES)
    def name(self, request: pytest.FixtureRequest) -> str:
        return request.param

    @pytest.fixture
    def probe(self, name: str) -> type[ProbeResult]:
        return PROBES.implementation(name)

    @pytest.fixture
    def plan(self, name: str) -> Any:
        plan = full_plan(name)
        return plan if isinstance(plan, bool) else plan.model_copy(update=FEWER.get(name, {}))


def plan(**changes: Any) -> schema.ProbeConfig:
    return schema.ProbeConfig.model_validate({"start": False, "every": None, "per_decade": None, **changes})


def everything() -> dict[str, Any]:
    """Every probe as conf/probe/full.yaml has it, the flow over fewer lags."""
    plans = {name: full_plan(name) for name in PROBES}
    return {name: p if isinstance(p, bool) else p.model_dump() for name, p in plans.items()} | {"flow": SHORT}


def test_the_full_plan_takes_every_probe() -> None:
    assert set(schema.ProbeConfig.model_fields) == {"start", "every", "per_decade", *PROBES}
    assert not [name for name in PROBES if full_plan(name) in (None, False)]


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
    assert due(Schedule(None, None, start=True), 1000) == [0]
    assert Schedule(None, None).first() == Schedule(None, None).after(7) == NEVER


def test_the_end_of_a_run_is_measured_once() -> None:
    bptt = trainer(CORE)
    probes = Probes(plan(per_decade=1, flow=SHORT), [batch(12, 4, 3)], 4)
    for update in (0, 1, 10):
        probes.measure(update, bptt)
    probes.finish(10, bptt)
    assert [taken.update for taken in probes.taken] == [0, 1, 10]
    probes.finish(12, bptt)
    assert probes.taken[-1].update == 12
    assert isinstance(probes.last(Flow), Flow)


def test_nothing_asked_for_is_never_due_and_gives_nothing() -> None:
    probes = Probes(plan(every=1), [], 4)
    probes.finish(3, trainer(CORE))
    assert probes.due == NEVER
    assert (list(probes.points()), list(probes.tables()), probes.final) == ([], [], {})
    assert probes.last(Flow) is None


def test_the_frozen_batch_is_the_first_that_is_long_enough_or_else_the_longest() -> None:
    def lags(*lengths: int) -> int:
        probes = Probes(plan(flow=SHORT), [batch(length, 2, 3) for length in lengths], 4)
        probes.measure(0, trainer(CORE))
        flow = probes.last(Flow)
        assert isinstance(flow, Flow)
        return flow.lags

    assert lags(4, 9, 30) == 8
    assert lags(4, 7, 5) == 6


def test_scalars_are_reported_once_and_tables_hold_every_update() -> None:
    bptt = trainer(CORE)
    probes = Probes(plan(every=1, **everything()), [batch(12, 4, 3)], 4)
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


def test_probes_restored_from_a_checkpoint_hold_the_same_results_and_report_them_again() -> None:
    bptt = trainer(CORE)
    probes, again = (Probes(plan(every=2, **everything()), [batch(12, 4, 3)], 4) for _ in range(2))
    for update in (0, 2):
        probes.measure(update, bptt)
    again.restore(probes.state())
    assert again.due == probes.due == 4
    assert again.final == pytest.approx(probes.final, nan_ok=True)  # Adam has no sharpness before its first update
    assert [update for update, _ in again.points()] == [0, 2]
    for (name, table), (same, other) in zip(probes.tables(), again.tables(), strict=True):
        assert name == same
        assert table.equals(other)


def test_a_flow_kept_before_parts_had_names_is_of_h_or_of_h_and_c() -> None:
    for name, parts in (("gru", ["h"]), ("lstm", ["h", "c"])):
        flow = Flow.measure(full_plan("flow"), trainer(name), batch(12, 4, 3))
        older = Flow.restored({"log_norms": flow.state()["log_norms"]})
        assert (older.parts, older.memory_part) == (parts, parts[-1])
        assert older.scalars() == flow.scalars()
