"""Launching: only the ledger says whether the work is done, whatever the launcher and its workers do."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import pytorch_lightning as pl
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from optuna.trial import TrialState

from study.errors import Trouble, Unwritable
from study.schema import Config
from study.sweep.planning.plan import Arm, Plan
from study.sweep.trials import optuna_private, process
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.optuna_private import beating
from study.sweep.trials.status import LOST
from study.sweep.trials.storage import open_study
from study.sweep.workers import launcher as workers_launcher
from study.sweep.workers.callback import SweepCallback
from study.sweep.workers.launcher import SignalCounter
from study.sweep.workers.signals import GivenUp, Stop, giving_up
from study.training.module import RecurrentModule

pytestmark = pytest.mark.usefixtures("stores")
RECORD = {"outcome": "completed", "verdict": "healthy", "measure": "rmse", "test": 1.0, "seconds": 1.0}


@pytest.fixture
def ledger(tmp_path: Path, configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The ledger of four runs, looked at in quick succession."""
    for name, seconds in {"PAUSE": 0.05, "LINGER": 0.1, "STALLED": 0.1}.items():
        monkeypatch.setattr(workers_launcher, name, seconds)
    plan = Plan([], {"elman": Arm("", {"model": "elman"}, "elman", {}, configure())}, {}, 0, [0, 1, 2, 3])
    with open_study(f"sqlite:///{tmp_path}/optuna.db", "slug", "minimize") as study:
        yield Ledger(study, plan, "this")


class Launched(Launcher):
    """A launcher whose jobs are one function."""

    def __init__(self, job: Callable[[], None]):
        self.job, self.times = job, 0

    def setup(self, **_: Any) -> None:
        """Nothing to keep."""

    def launch(self, job_overrides: Any, initial_job_idx: int) -> list[Any]:
        self.times += 1
        self.job()
        return []


def run_workers(launcher: Any, ledger: Ledger, failures: int | None = None) -> str:
    return workers_launcher.run_workers(launcher, ledger, lambda runs: 1, failures)


def work(ledger: Ledger, runs: int = 4) -> None:
    for _ in range(runs):
        if (trial := ledger.claim()) is not None:
            ledger.finish(trial, 1.0, RECORD)


def test_a_launcher_that_waits_for_ever_for_a_dead_task_holds_nobody_up(ledger: Ledger) -> None:
    def job() -> None:
        work(ledger)
        time.sleep(60)

    assert run_workers(Launched(job), ledger) == ""
    assert ledger.counts() == {"completed": 4, "open": 0}


def test_workers_that_died_are_followed_by_others_until_all_is_made(ledger: Ledger) -> None:
    def job() -> None:
        work(ledger, 1)
        if launcher.times < LOST and (trial := ledger.claim()) is not None:  # so often the same run may be the victim
            ledger.note(trial, {"owner": {**process.current(), "born": 0.0, "launch": "this"}})  # killed
        raise RuntimeError("a worker was killed")

    launcher = Launched(job)
    run_workers(launcher, ledger)
    assert ledger.counts() == {"completed": 4, "open": 0}
    assert launcher.times > 1


def test_workers_that_died_where_the_launcher_does_not_notice_are_followed_by_others(ledger: Ledger) -> None:
    def job() -> None:
        work(ledger, 2)
        time.sleep(60)

    launcher = Launched(job)
    run_workers(launcher, ledger)
    assert launcher.times == 2
    assert ledger.counts() == {"completed": 4, "open": 0}


def test_a_launch_that_makes_nothing_is_the_last_and_its_error_is_returned(ledger: Ledger) -> None:
    def job() -> None:
        raise ValueError("no such partition")

    launcher = Launched(job)
    assert run_workers(launcher, ledger) == "The launcher reported ValueError: no such partition"
    assert launcher.times == 1


def test_runs_that_kill_every_worker_come_to_an_end(ledger: Ledger) -> None:
    def job() -> None:
        if (trial := ledger.claim()) is not None:
            ledger.note(trial, {"owner": {**process.current(), "born": 0.0, "launch": "this"}})

    launcher = Launched(job)
    run_workers(launcher, ledger)
    assert ledger.counts() == {"failed": 4, "open": 0}
    assert launcher.times == 4 * LOST


def test_a_hopeless_sweep_is_stopped_early(ledger: Ledger) -> None:
    def job() -> None:
        if (trial := ledger.claim()) is not None:
            ledger.fail(trial, {"error": "ValueError: no"})

    run_workers(Launched(job), ledger, failures=2)
    assert ledger.counts() == {"failed": 2, "open": 2}


def test_ctrl_c_orders_this_launch_to_stop_and_no_other(ledger: Ledger) -> None:
    def job() -> None:
        trial = ledger.claim()
        assert trial is not None
        os.kill(os.getpid(), signal.SIGINT)
        while ledger.ordered() is None:
            time.sleep(0.02)
        ledger.fail(trial, {"interrupted": True})

    with pytest.raises(KeyboardInterrupt):
        run_workers(Launched(job), ledger)
    assert ledger.ordered() == "stop"
    assert Ledger(ledger.study, ledger.plan, "another").ordered() is None
    assert ledger.counts() == {"open": 4}


def test_a_ctrl_c_that_is_ignored_stays_so_and_a_termination_still_counts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    presses = SignalCounter()
    with presses.counted():
        os.kill(os.getpid(), signal.SIGINT)
        assert presses.count == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert presses.count == 1


def test_an_order_lets_a_worker_finish_its_update(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop()
    with stop.listening(ledger):
        assert not stop.asked
        ledger.order("stop")
        time.sleep(1.5)
        assert stop.asked


def test_an_order_to_stop_at_once_interrupts_a_worker_wherever_it_is(ledger: Ledger) -> None:
    before = signal.getsignal(signal.SIGINT)

    def work_on() -> None:
        with Stop().listening(ledger):
            ledger.order("stop at once")
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        work_on()
    assert signal.getsignal(signal.SIGINT) == before


def test_a_worker_in_a_thread_leaves_the_signals_of_its_process_alone(ledger: Ledger) -> None:
    stop, before = Stop(), signal.getsignal(signal.SIGINT)

    def worker() -> None:
        with stop.listening(ledger):
            assert signal.getsignal(signal.SIGINT) == before

    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()


def test_a_run_that_was_interrupted_is_gone_on_with_under_its_own_id_and_values(ledger: Ledger) -> None:
    first = ledger.claim()
    assert first is not None
    ledger.note(first, {"run_id": "abc"})
    ledger.fail(first, {"interrupted": True})
    for _ in range(2):
        while (again := ledger.claim()) and again.user_attrs["cell"] != first.user_attrs["cell"]:
            ledger.finish(again, 1.0, RECORD)
        assert again is not None
        assert ledger.interrupted(again)["run_id"] == "abc"
        optuna_private.set_state(ledger.study, again, TrialState.FAIL)  # killed before it was announced


def test_a_trial_that_another_process_has_ended_takes_nothing_and_its_run_is_given_up(ledger: Ledger) -> None:
    trial, (arm,) = ledger.claim(), ledger.plan.arms.values()
    assert trial is not None
    optuna_private.set_state(ledger.study, trial, TrialState.FAIL)
    validated = Mock(spec=pl.Trainer, callback_metrics={"rmse/val": 1.0})
    module = Mock(spec=RecurrentModule, task=Mock(primary="rmse"), history=[])
    writes: list[Callable[[], object]] = [
        lambda: trial.suggest_float("optimizer.lr", 0.1, 1.0),
        lambda: trial.set_user_attr("note", 1),
        lambda: SweepCallback(trial, arm.config, Stop()).on_validation_end(validated, module),
    ]
    for write in writes:
        with pytest.raises(GivenUp), giving_up():
            write()
    ledger.fail(trial, {"error": "ValueError: no"})
    ledger.prune(trial)
    assert not ledger.finish(trial, 1.0, RECORD)
    assert not ledger.holds(trial)
    with beating(ledger.study, trial):
        ledger.reap()
    assert ledger.counts() == {"open": 4}


@pytest.mark.parametrize(("host", "rebooted"), [("elsewhere", False), (None, False), (None, True)])
def test_a_lost_run_is_continued_on_its_own_host(ledger: Ledger, host: str | None, rebooted: bool) -> None:
    first = ledger.claim()
    assert first is not None
    whose = {**process.current(), "launch": "this", "born": 0.0} | ({"host": host} if host else {})
    whose |= {"machine": "another"} if rebooted or host else {}
    ledger.note(first, {"run_id": "abc", "owner": whose})
    optuna_private.set_state(ledger.study, first, TrialState.FAIL)  # reaped: silent, or its process is gone
    while (again := ledger.claim()) and again.user_attrs["cell"] != first.user_attrs["cell"]:
        ledger.finish(again, 1.0, RECORD)
    assert again is not None
    assert ledger.interrupted(again).get("run_id") == (None if host else "abc")


def test_what_a_worker_in_this_process_was_at_when_it_died_is_not_waited_for(ledger: Ledger) -> None:
    def job() -> None:
        assert ledger.claim() is not None
        raise ValueError("no such thing")

    launcher = Launched(job)
    assert run_workers(launcher, ledger) == "The launcher reported ValueError: no such thing"
    assert ledger.counts() == {"failed": 4, "open": 0}


def test_a_worker_that_cannot_write_stops_the_others_and_what_it_was_at_stays_open(ledger: Ledger) -> None:
    def job() -> None:
        trial = ledger.claim()
        assert trial is not None
        ledger.fail(trial, {"interrupted": True})
        ledger.give_up(Unwritable("outputs/x.ckpt", "no space is left on this disk", "make room there"))

    with pytest.raises(Trouble, match=r"^outputs/x.ckpt: no space is left on this disk; make room there, then"):
        run_workers(launched := Launched(job), ledger)
    assert launched.times == 1
    assert (ledger.ordered(), ledger.counts()) == ("stop", {"open": 4})
    work(Ledger(ledger.study, ledger.plan, "next"))
    assert ledger.counts() == {"completed": 4, "open": 0}


def test_a_worker_that_cannot_write_to_the_study_itself_is_not_waited_for(ledger: Ledger) -> None:
    ended = JobReturn(status=JobStatus.COMPLETED)
    ended.return_value = Unwritable("optuna.db", "it may only be read", "choose another place")

    class Returning(Launched):
        def launch(self, job_overrides: Any, initial_job_idx: int) -> list[Any]:
            assert ledger.claim() is not None
            return [ended]

    with pytest.raises(Unwritable, match=r"optuna\.db: it may only be read"):
        run_workers(Returning(lambda: None), ledger)
