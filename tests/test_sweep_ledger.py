"""The ledger of a sweep: every run is made exactly once, whichever process dies."""

import math
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from optuna.trial import TrialState

from study.schema import Config
from study.sweep.planning.grammar import Dimension
from study.sweep.planning.plan import Arm, Plan
from study.sweep.trials import index, optuna_private, process
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.status import LOST, judge
from study.sweep.trials.storage import open_study

pytestmark = pytest.mark.usefixtures("stores")
RECORD = {"outcome": "completed"}
Open = Callable[..., Ledger]


@pytest.fixture
def open_ledger(tmp_path: Path, configure: Callable[..., Config]) -> Iterator[Open]:
    """A ledger of a plan of two arms, as every process would open it."""
    config, opened_studies = configure(), ExitStack()

    def opened(seeds: tuple[int, ...] = (0, 1), trials: int = 0) -> Ledger:
        arms = {name: Arm("", {"model": name}, name, {}, config) for name in ("elman", "lstm")}
        search = {"optimizer.lr": Dimension("optimizer.lr", 0.1, 1.0)} if trials else {}
        study = opened_studies.enter_context(open_study(f"sqlite:///{tmp_path}/optuna.db", "slug", "minimize"))
        return Ledger(study, Plan([], arms, search, trials, list(seeds)))

    with opened_studies:
        yield opened


def work(ledger: Ledger, value: float = 1.0, offset: float = 0.0) -> int:
    """Make every run that waits; return how many."""
    made = 0
    while trial := ledger.claim():
        if ledger.plan.search:
            value = trial.suggest_float("optimizer.lr", 0.1, 1.0) - offset
        ledger.finish(trial, value, RECORD)
        made += 1
    return made


def states(ledger: Ledger) -> list[TrialState]:
    return [trial.state for trial in ledger.study.get_trials(deepcopy=False)]


def test_every_run_is_made_once_and_by_the_same_command_nothing_is_made_again(open_ledger):
    ledger = open_ledger()
    assert work(ledger) == 4
    assert states(ledger) == [TrialState.COMPLETE] * 4
    assert ledger.counts() == {"completed": 4, "open": 0}
    assert work(open_ledger()) == 0


def test_more_seeds_make_only_what_is_new_and_fewer_leave_the_rest_alone(open_ledger):
    work(open_ledger(seeds=(0,)))
    assert work(open_ledger(seeds=(0, 1, 2))) == 4
    assert open_ledger(seeds=(1,)).counts() == {"completed": 2, "open": 0}


def test_of_two_trials_for_one_run_the_later_is_surplus(open_ledger):
    one, other = open_ledger(seeds=(0,)), open_ledger(seeds=(0,))
    first = one.claim()
    other.study.enqueue_trial({}, user_attrs=first.user_attrs)  # as one does who looked before the first had written
    second = other.claim()
    assert second.user_attrs["cell"] != first.user_attrs["cell"]
    for trial in (first, second):
        one.finish(trial, 1.0, RECORD)
    assert sorted(states(one)) == sorted([TrialState.COMPLETE] * 2 + [TrialState.FAIL])
    assert one.counts() == {"completed": 2, "open": 0}
    assert work(one) == 0


def test_a_run_that_raised_is_made_again_only_when_asked(open_ledger):
    ledger = open_ledger(seeds=(0,))
    ledger.fail(ledger.claim(), {"error": "ValueError: no"})
    assert work(ledger) == 1
    assert ledger.counts()["failed"] == 1
    ledger.retry()
    assert work(ledger) == 1
    assert ledger.counts() == {"completed": 2, "open": 0}


def test_an_interrupted_run_is_open_again(open_ledger):
    ledger = open_ledger(seeds=(0,))
    ledger.fail(ledger.claim(), {"interrupted": True})
    assert ledger.counts()["open"] == 2
    assert work(ledger) == 2


def test_a_run_whose_process_was_killed_is_given_up_and_made_again(open_ledger):
    ledger = open_ledger(seeds=(0,))
    trial, body = ledger.claim(), subprocess.Popen([sys.executable, "-c", ""])
    dead = {**process.current(), "pid": body.pid}
    body.wait()
    ledger.note(trial, {"owner": dead})
    assert process.is_alive(dead) is False
    ledger.reap()
    assert ledger.counts()["open"] == 2
    ledger.finish(trial, 1.0, RECORD)  # it was alive after all: nobody is harmed
    assert work(ledger) == 2


def test_a_run_that_kills_its_process_again_and_again_has_failed(open_ledger):
    ledger = open_ledger(seeds=(0,))
    for _ in range(LOST):
        for trial in iter(ledger.claim, None):
            ledger.note(trial, {"owner": {**process.current(), "born": 0.0}})
        ledger.reap()
    assert work(ledger) == 0
    assert ledger.counts() == {"failed": 2, "open": 0}


def test_nan_and_divergence_are_the_worst_value_and_no_failure(open_ledger):
    ledger = open_ledger(seeds=(0,))
    ledger.finish(ledger.claim(), math.nan, RECORD)
    ledger.finish(ledger.claim(), math.inf, {"outcome": "diverged"})
    assert [trial.value for trial in ledger.study.get_trials()] == [math.inf, math.inf]
    assert ledger.counts() == {"completed": 1, "diverged": 1, "open": 0}


def test_a_search_trial_that_is_lost_again_and_again_keeps_the_values_it_began_with(open_ledger):
    ledger = open_ledger(seeds=(0,), trials=1)

    def claim_elman():
        while (trial := ledger.claim()).user_attrs["cell"]["arm"] != "elman":
            ledger.finish(trial, trial.suggest_float("optimizer.lr", 0.1, 1.0), RECORD)
        return trial

    first = claim_elman()
    value = first.suggest_float("optimizer.lr", 0.1, 1.0)
    ledger.fail(first, {"interrupted": True})
    optuna_private.set_state(ledger.study, claim_elman(), TrialState.FAIL)  # killed before it had its value
    assert claim_elman().suggest_float("optimizer.lr", 0.1, 1.0) == value


def test_the_winner_of_every_arm_is_confirmed_on_every_seed_when_its_search_is_over(open_ledger):
    ledger = open_ledger(trials=4)
    assert work(ledger) == len(ledger.plan) == 2 * (4 + 2)
    for arm in ledger.plan.arms:
        mine = [s for s in ledger.statuses() if s.cell.arm == arm]
        best = min(s.trial.params["optimizer.lr"] for s in mine if s.cell.phase == "search")
        assert [s.trial.params["optimizer.lr"] for s in mine if s.cell.phase == "confirm"] == [best, best]


def test_a_longer_search_that_finds_a_better_winner_supersedes_the_confirmations_of_the_old_one(open_ledger):
    ledger = open_ledger(trials=2)
    for _ in range(2 * (2 + 2)):
        trial = ledger.claim()
        trial.suggest_float("optimizer.lr", 0.1, 1.0)
        ledger.note(trial, {"run_id": f"run {trial.number}"})
        ledger.finish(trial, 0.5, RECORD)
    confirmed = [t.user_attrs["run_id"] for t in ledger.study.trials if t.user_attrs["phase"] == "confirm"]
    assert len(confirmed) == 4
    assert ledger.superseded() == []
    longer = open_ledger(trials=3)
    assert work(longer, offset=1.0) == 2 * (1 + 2)
    assert sorted(longer.superseded()) == sorted(confirmed)


def test_an_arm_whose_whole_search_failed_has_nothing_to_confirm(open_ledger):
    ledger = open_ledger(trials=2)
    for trial in iter(ledger.claim, None):
        ledger.fail(trial, {"error": "ValueError: no"})
    assert work(ledger) == 0
    assert ledger.counts() == {"failed": 4, "open": 0}


def test_processes_that_open_a_new_storage_at_once_all_succeed_and_share_the_work(open_ledger, tmp_path):
    ledgers: list[Ledger] = []
    made: list[int] = []

    def open_and_work() -> None:
        ledgers.append(open_ledger(seeds=tuple(range(5))))
        made.append(work(ledgers[-1]))

    threads = [threading.Thread(target=open_and_work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(made) == 10
    assert ledgers[0].counts() == {"completed": 10, "open": 0}


def test_a_run_of_another_machine_is_given_up_once_it_gives_no_sign_of_life(open_ledger, tmp_path):
    ledger = open_ledger(seeds=(0,))
    trial = ledger.claim()
    ledger.note(trial, {"owner": {**process.current(), "machine": "elsewhere"}})
    ledger.reap()
    assert ledger.counts()["running"] == 1
    silence(tmp_path)
    ledger.reap()
    assert ledger.counts() == {"open": 2}
    assert not ledger.holds(trial)
    assert not ledger.finish(trial, 1.0, RECORD)  # it comes back: its run is another's by now
    assert ledger.counts() == {"open": 2}


def silence(folder: Path) -> None:
    """Let every heartbeat be an hour old."""
    with sqlite3.connect(folder / "optuna.db") as storage:
        storage.execute("update trial_heartbeats set heartbeat = datetime('now', '-1 hour')")


def test_a_process_of_this_machine_is_asked_however_long_its_heart_was_silent(open_ledger, tmp_path):
    ledger = open_ledger(seeds=(0,))
    trial = ledger.claim()
    silence(tmp_path)
    ledger.reap()
    assert ledger.holds(trial)
    assert ledger.finish(trial, 1.0, RECORD)
    assert ledger.counts() == {"completed": 1, "open": 1}


def test_a_trial_that_was_given_up_before_it_was_signed_is_not_made_twice(open_ledger, monkeypatch):
    ledger, other = open_ledger(seeds=(0,)), open_ledger(seeds=(0,))
    begin = optuna_private.begin

    def suspended(*given):
        """Sleep, between claiming and signing, until another process has given the trial up."""
        trial = begin(*given)
        monkeypatch.setattr(optuna_private, "begin", begin)
        monkeypatch.setattr("study.sweep.trials.ledger.GRACE", timedelta(0))
        other.reap()
        monkeypatch.setattr("study.sweep.trials.ledger.GRACE", timedelta(minutes=1))
        return trial

    monkeypatch.setattr(optuna_private, "begin", suspended)
    assert work(ledger) == 2
    assert states(ledger) == [TrialState.FAIL, TrialState.COMPLETE, TrialState.COMPLETE]


def named(ledger: Ledger, value: float = 1.0) -> list[str]:
    """Make every run that waits, each with an MLflow run of its own; return their ids."""
    made = []
    while trial := ledger.claim():
        made.append(f"run {trial.number}")
        ledger.note(trial, {"run_id": made[-1]})
        if ledger.plan.search:
            value = trial.suggest_float("optimizer.lr", 0.1, 1.0)
        ledger.finish(trial, value, RECORD)
    return made


def test_a_run_that_is_gone_from_its_store_is_open_again_and_made_once(open_ledger):
    ledger = open_ledger()
    made = named(ledger)
    assert ledger.recorded() == set(made)
    short = Ledger(ledger.study, ledger.plan, gone={made[2]})
    assert short.counts() == {"completed": 3, "open": 1}
    assert len(named(short)) == 1
    assert short.counts() == {"completed": 4, "open": 0}
    assert named(short) == []


def test_a_search_trial_that_is_gone_is_made_with_its_values_and_its_winner_is_not_confirmed_again(open_ledger):
    ledger = open_ledger(seeds=(0, 1), trials=3)
    named(ledger)
    before = {status.cell.key: status for status in ledger.statuses()}
    confirmed = next(status for status in before.values() if status.cell.phase == "confirm")
    won = next(s for s in before.values() if s.trial is not None and s.trial.number == confirmed.cell.number)
    short = Ledger(ledger.study, ledger.plan, gone={won.record["run_id"]})
    assert len(named(short)) == 1
    after = {status.cell.key: status for status in short.statuses()}
    assert after.keys() == before.keys()
    again = after[won.cell.key].trial
    assert again is not None
    assert won.trial is not None
    assert again.params == won.trial.params
    assert again.number != won.trial.number


def test_a_claim_judges_the_cells_whose_trials_changed_and_no_others(open_ledger, monkeypatch):
    judged: list[str] = []

    def counted(cell, *given):
        judged.append(cell.key)
        return judge(cell, *given)

    monkeypatch.setattr(index, "judge", counted)
    ledger = open_ledger(seeds=tuple(range(10)))
    judged.clear()
    spent = []
    while trial := ledger.claim():
        ledger.finish(trial, 1.0, RECORD)
        spent.append(len(judged))
        judged.clear()
    assert len(spent) == 20
    assert spent[-1] <= spent[1] <= 4  # of the run before and of its own, whatever the number of finished runs
    assert ledger.counts() == {"completed": 20, "open": 0}


def test_what_a_process_has_indexed_follows_what_others_do(open_ledger):
    mine, other = open_ledger(), open_ledger()
    assert mine.counts() == {"open": 4}
    trial = other.claim()
    assert mine.counts() == {"open": 3, "running": 1}
    other.fail(trial, {"error": "broken"})
    assert mine.counts() == {"open": 3, "failed": 1}
    mine.retry()
    assert work(other) == 4
    anew = index.TrialIndex(mine.study, mine.plan, mine.sign)
    anew.read()
    assert mine.statuses() == anew.statuses()


def test_a_failed_search_trial_that_is_to_be_made_again_is_taken_with_its_values(open_ledger):
    ledger = open_ledger(seeds=(0,), trials=1)
    trial = ledger.claim()
    value = trial.suggest_float("optimizer.lr", 0.1, 1.0)
    ledger.fail(trial, {"error": "broken"})
    ledger.retry()
    again = open_ledger(seeds=(0,), trials=1).claim()
    assert again.user_attrs["cell"] == trial.user_attrs["cell"]
    assert again.suggest_float("optimizer.lr", 0.1, 1.0) == value


def test_attributes_of_a_trial_are_set_and_replaced_together_and_none_of_one_that_has_ended(open_ledger):
    ledger = open_ledger(seeds=(0,))
    trial = ledger.claim()
    assert ledger.note(trial, {"a": 1, "b": math.inf})
    assert ledger.note(trial, {"b": [2], "c": None})
    assert [trial.user_attrs[key] for key in "abc"] == [1, [2], None]
    ledger.finish(trial, 1.0, RECORD)
    assert not ledger.note(trial, {"a": 2})
    assert ledger.study.trials[trial.number].user_attrs["a"] == 1
