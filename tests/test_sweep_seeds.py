"""Trials over several seeds: the mean is tuned for, each run is tracked, a diverged one decides, none is made twice."""

import math
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest

from study.errors import Pruned, Trouble
from study.report.data.runs import gather
from study.report.data.trials import searches
from study.schema import Config
from study.sweep.planning.grammar import Dimension
from study.sweep.planning.plan import Arm, Plan, PlannedCell
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.storage import open_study
from study.sweep.workers import worker as working
from study.sweep.workers.seeds import interim, join, mean_objective
from study.sweep.workers.signals import GivenUp, Stop
from study.sweep.workers.worker import Worker
from tests.typed import typed

pytestmark = pytest.mark.usefixtures("stores")
RECORD = {"verdict": "healthy", "measure": "rmse", "baseline": 1.0, "half_life": 2.0, "seconds": 3.0, "updates": 10}
Make = Callable[..., list[int]]


@pytest.fixture
def ledger(tmp_path: Path, configure: Callable[..., Config]) -> Iterator[Ledger]:
    """Of one arm, one trial, on three seeds."""
    arms = {"arm": Arm("", {"model": "elman"}, "arm", {}, configure())}
    plan = Plan([], arms, {"optimizer.lr": Dimension("optimizer.lr", 0.1, 1.0)}, 1, [0], search_seeds=3)
    with open_study(f"sqlite:///{tmp_path}/optuna.db", "slug", "minimize") as study:
        yield Ledger(study, plan)


@pytest.fixture
def make(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make one trial with runs worth `values` by seed, exceptions being raised; return the seeds of its runs."""

    def sampled(plan: Plan, cell: PlannedCell, trial: optuna.Trial, _: object) -> list[str]:
        return [f"seed={cell.seed}", f"optimizer.lr={plan.search['optimizer.lr'].suggest(trial)}"]

    def made(values: dict[int, float | BaseException], diverged: str = "worst") -> list[int]:
        seeds: list[int] = []

        def train(_: Worker, ledger: Ledger, trial: optuna.Trial, __: object, overrides: list[str], *more: Any) -> Any:
            seed = int(overrides[0].removeprefix("seed="))
            ledger.note(trial, {"run_id": f"run {seed}", "seed": seed})
            seeds.append(seed)
            if isinstance(value := values[seed], BaseException):
                raise value
            return SimpleNamespace(value=value, updates=10)

        def recorded(result: SimpleNamespace) -> dict[str, Any]:
            return {**RECORD, "test": result.value, "outcome": "diverged" if math.isnan(result.value) else "completed"}

        def objective(_: Worker, result: SimpleNamespace) -> float | None:
            return None if math.isnan(result.value) and diverged == "fail" else result.value

        worker = Worker.__new__(Worker)
        worker.plan, worker.composer = ledger.plan, None  # type: ignore[assignment]
        monkeypatch.setattr(working, "sample", sampled)
        monkeypatch.setattr(working, "record", recorded)
        monkeypatch.setattr(Worker, "_train", train)
        monkeypatch.setattr(Worker, "_objective", objective)
        trial = ledger.claim()
        assert trial is not None
        worker._run(ledger, trial, Stop())
        return seeds

    return made


def last(ledger: Ledger) -> optuna.trial.FrozenTrial:
    return ledger.study.get_trials()[-1]


def test_a_trial_is_worth_the_mean_of_its_runs_on_seeds_of_their_own(ledger: Ledger, make: Make) -> None:
    assert make({1000: 1.0, 1001: 2.0, 1002: 6.0}) == [1000, 1001, 1002]
    assert last(ledger).value == pytest.approx(3.0)
    assert last(ledger).user_attrs["seconds"] == 9.0


@pytest.mark.parametrize(("diverged", "state", "value"), [("worst", "COMPLETE", math.inf), ("fail", "FAIL", None)])
def test_one_run_that_diverges_decides_and_ends_the_trial(
    ledger: Ledger, make: Make, diverged: str, state: str, value: float | None
) -> None:
    assert make({1000: 1.0, 1001: math.nan}, diverged) == [1000, 1001]
    trial = last(ledger)
    assert (trial.state.name, trial.value, trial.user_attrs["outcome"]) == (state, value, "diverged")
    assert [status.state for status in ledger.statuses() if status.cell.phase == "search"] == ["diverged"]


def test_after_an_interruption_only_the_missing_runs_are_made(ledger: Ledger, make: Make) -> None:
    assert make({1000: 1.0, 1001: KeyboardInterrupt()}) == [1000, 1001]
    tuned = last(ledger).params
    assert make({1001: 2.0, 1002: 6.0}) == [1001, 1002]
    assert (last(ledger).value, last(ledger).params) == (pytest.approx(3.0), tuned)


def test_a_run_that_another_process_has_taken_over_ends_and_does_not_count_and_the_worker_goes_on(
    ledger: Ledger, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    monkeypatch.setattr(Worker, "_leave", lambda _, trial: left.append(trial.number))
    make({1000: 1.0, 1001: GivenUp()})
    taken_over = last(ledger)
    assert (left, taken_over.state.name) == ([taken_over.number], "RUNNING")  # its end is for the other process to say
    assert "interrupted" not in taken_over.user_attrs


def test_a_run_that_raises_fails_the_trial_and_a_pruned_one_prunes_it(ledger: Ledger, make: Make) -> None:
    make({1000: 1.0, 1001: RuntimeError("no such thing")})
    assert [status.state for status in ledger.statuses()] == ["failed"]
    ledger.retry()
    assert make({1000: 1.0, 1001: Pruned("poor")}) == [1000, 1001]
    assert [status.state for status in ledger.statuses()] == ["pruned"]


def test_a_store_or_disk_in_trouble_is_no_result_and_stops_the_launch(ledger: Ledger, make: Make) -> None:
    make({1000: 1.0, 1001: Trouble("the store does not answer")})
    assert [status.state for status in ledger.statuses() if status.cell.phase == "search"] == ["open"]
    assert ledger.ordered() == "stop"
    assert str(ledger.given_up()) == "the store does not answer, then the same command works"
    assert make({1001: 2.0, 1002: 6.0}) == [1001, 1002]


def test_the_interim_value_is_the_mean_over_the_runs_so_far_at_the_updates_of_all() -> None:
    made = [{"objective": 2.0, "updates": 10}, {"objective": 4.0, "updates": 10}]
    assert interim(made, 9.0, 5) == (5.0, 25)
    assert interim([], 9.0, 5) == (9.0, 5)


def test_a_lost_run_is_not_made_up_for_by_others() -> None:
    assert mean_objective([1.0, 3.0]) == 2.0
    assert mean_objective([1.0, None]) is None
    assert math.isnan(mean_objective([1.0, math.nan]) or 0.0)


def test_of_one_run_the_record_is_its_own() -> None:
    one = {**RECORD, "test": 1.0, "outcome": "completed"}
    assert join([{**one, "objective": 2.0}]) == {key: value for key, value in one.items() if key != "updates"}


def test_a_search_over_seeds_tracks_every_run_and_confirms_on_fresh_ones(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/mlflow.db"
    arguments = [
        "slug=seeds", f"tracking.uri={store}", "hydra/launcher=basic", "task=forecasting_sine_mix", "probe=none",
        "model.hidden_size=4", "trainer.max_updates=3", "optimizer.lr=interval(1e-3,1e-1)", "sweep.trials=2",
        "sweep.search_seeds=2", "seed=0,1",
    ]  # fmt: skip
    done = typed("study.train", ["--multirun", *arguments], tmp_path, os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = gather(store, "seeds").runs
    trials = runs[runs["phase"] == "search"]
    assert sorted(trials["seed"]) == [1000, 1000, 1001, 1001]
    assert sorted(runs.loc[runs["phase"] == "confirm", "seed"]) == [0, 1]
    means = trials.groupby("candidate")["validation"].mean()
    with sqlite3.connect(tmp_path / "optuna.db") as study:
        values = [v for (v,) in study.execute("select value from trial_values order by trial_id limit 2")]
    assert sorted(values) == pytest.approx(sorted(means))
    (search,) = searches(runs, {"optimizer.lr": "0.001 to 0.1"})
    assert sorted(search.trials["value"]) == pytest.approx(sorted(means))
    assert "planned runs have no result" not in (tmp_path / "outputs/seeds/report/report.html").read_text()
