"""Launching: the ledger alone says whether the work is done, whatever becomes of the launcher and its workers."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.plugins.launcher import Launcher
from optuna.trial import TrialState

from study.schema import Config
from study.sweep.planning.plan import Arm, Plan
from study.sweep.trials import optuna_private, process
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.status import LOST
from study.sweep.trials.storage import open_study
from study.sweep.workers import launcher as launching
from study.sweep.workers.signals import Stop

RECORD = {"outcome": "completed", "verdict": "healthy", "measure": "rmse", "test": 1.0, "seconds": 1.0}


@pytest.fixture
def book(tmp_path: Path, configure: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The ledger of four runs, looked at in quick succession."""
    for name, seconds in {"PAUSE": 0.05, "LINGER": 0.1, "STALLED": 0.1}.items():
        monkeypatch.setattr(launching, name, seconds)
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


def run_workers(launcher: Any, book: Ledger, failures: int | None = None) -> str:
    return launching.run_workers(launcher, book, lambda runs: 1, failures)


def work(book: Ledger, runs: int = 4) -> None:
    for _ in range(runs):
        if (trial := book.claim()) is not None:
            book.finish(trial, 1.0, RECORD)


def test_a_launcher_that_waits_for_ever_for_a_dead_task_holds_nobody_up(book: Ledger) -> None:
    def job() -> None:
        work(book)
        time.sleep(60)

    assert run_workers(Launched(job), book) == ""
    assert book.counts() == {"completed": 4, "open": 0}


def test_workers_that_died_are_followed_by_others_until_all_is_made(book: Ledger) -> None:
    def job() -> None:
        work(book, 1)
        if launcher.times < LOST and (trial := book.claim()) is not None:  # so often the same run may be the victim
            book.note(trial, {"owner": {**process.current(), "born": 0.0, "launch": "this"}})  # killed
        raise RuntimeError("a worker was killed")

    launcher = Launched(job)
    run_workers(launcher, book)
    assert book.counts() == {"completed": 4, "open": 0}
    assert launcher.times > 1


def test_workers_that_died_where_the_launcher_does_not_notice_are_followed_by_others(book: Ledger) -> None:
    def job() -> None:
        work(book, 2)
        time.sleep(60)

    launcher = Launched(job)
    run_workers(launcher, book)
    assert launcher.times == 2
    assert book.counts() == {"completed": 4, "open": 0}


def test_a_launch_that_makes_nothing_is_the_last_and_its_error_is_told(book: Ledger) -> None:
    def job() -> None:
        raise ValueError("no such partition")

    launcher = Launched(job)
    assert run_workers(launcher, book) == "ValueError: no such partition"
    assert launcher.times == 1


def test_runs_that_kill_every_worker_come_to_an_end(book: Ledger) -> None:
    def job() -> None:
        if (trial := book.claim()) is not None:
            book.note(trial, {"owner": {**process.current(), "born": 0.0, "launch": "this"}})

    launcher = Launched(job)
    run_workers(launcher, book)
    assert book.counts() == {"failed": 4, "open": 0}
    assert launcher.times == 4 * LOST


def test_a_hopeless_sweep_is_stopped_early(book: Ledger) -> None:
    def job() -> None:
        if (trial := book.claim()) is not None:
            book.fail(trial, {"error": "ValueError: no"})

    run_workers(Launched(job), book, failures=2)
    assert book.counts() == {"failed": 2, "open": 2}


def test_ctrl_c_orders_this_launch_to_stop_and_no_other(book: Ledger) -> None:
    def job() -> None:
        trial = book.claim()
        assert trial is not None
        os.kill(os.getpid(), signal.SIGINT)
        while book.ordered() is None:
            time.sleep(0.02)
        book.fail(trial, {"interrupted": True})

    with pytest.raises(KeyboardInterrupt):
        run_workers(Launched(job), book)
    assert book.ordered() == "stop"
    assert Ledger(book.study, book.plan, "another").ordered() is None
    assert book.counts() == {"open": 4}


def test_an_order_lets_a_worker_finish_its_update(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop()
    with stop.listening(book):
        assert not stop.asked
        book.order("stop")
        time.sleep(1.5)
        assert stop.asked


def test_an_order_to_stop_at_once_interrupts_a_worker_wherever_it_is(book: Ledger) -> None:
    before = signal.getsignal(signal.SIGINT)

    def work_on() -> None:
        with Stop().listening(book):
            book.order("stop at once")
            time.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        work_on()
    assert signal.getsignal(signal.SIGINT) == before


def test_a_worker_in_a_thread_leaves_the_signals_of_its_process_alone(book: Ledger) -> None:
    stop, before = Stop(), signal.getsignal(signal.SIGINT)

    def worker() -> None:
        with stop.listening(book):
            assert signal.getsignal(signal.SIGINT) == before

    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()


def test_a_run_that_was_interrupted_is_gone_on_with_under_its_own_id_and_values(book: Ledger) -> None:
    first = book.claim()
    assert first is not None
    book.note(first, {"run_id": "abc"})
    book.fail(first, {"interrupted": True})
    while (again := book.claim()) and again.user_attrs["cell"] != first.user_attrs["cell"]:
        book.finish(again, 1.0, RECORD)
    assert again is not None
    assert book.interrupted_run(again) == "abc"


@pytest.mark.parametrize("host", ["elsewhere", None])
def test_a_lost_run_is_gone_on_with_only_where_its_process_is_surely_gone(book: Ledger, host: str | None) -> None:
    first = book.claim()
    assert first is not None
    whose = {**process.current(), "launch": "this", "born": 0.0} | ({"host": host} if host else {})
    book.note(first, {"run_id": "abc", "owner": whose})
    optuna_private.set_state(book.study, first, TrialState.FAIL)  # reaped: silent, or its process is gone
    while (again := book.claim()) and again.user_attrs["cell"] != first.user_attrs["cell"]:
        book.finish(again, 1.0, RECORD)
    assert again is not None
    assert book.interrupted_run(again) == (None if host else "abc")
