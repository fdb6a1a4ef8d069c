"""First use of the databases, interrupted; processes that are suspended while they hold a trial."""

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

from study.bench.composed import composed
from study.bench.reliability.contract import Fault, Tally
from study.bench.reliability.postgres import postgres
from study.sweep.planning.plan import Arm, Plan
from study.sweep.trials import storage
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.optuna_private import beating
from study.tracking import store

SIGNALS = (signal.SIGKILL, signal.SIGINT)
LONGEST = 2.0
"""Seconds after which a making is surely over."""
AT_ONCE = 6
"""Processes that open a new database at the same time."""
BEAT, SILENCE, SUSPENDED = 1, 2, 6.0
"""Seconds: between heartbeats, without one until a trial of another machine is given up, and of suspension."""


def make_runs_store(folder: Path) -> None:
    """Open the store of runs, as every command does."""
    open_runs(f"sqlite:///{folder}/mlflow.db", folder)


def make_study(folder: Path) -> None:
    """Open the database of the study."""
    open_trials(f"sqlite:///{folder}/optuna.db", folder)


def interrupted(maker: Callable[[Path], None]) -> Callable[[Path, int], Tally]:
    """A row: a signal at a random moment of the first use; lost is where the same command fails afterwards."""

    def tried(folder: Path, seeds: int) -> Tally:
        lost = unfinished = 0
        (folder / "warm").mkdir()
        maker(folder / "warm")  # what is imported for it; the processes are forked
        for seed in range(seeds):
            place = folder / str(seed)
            place.mkdir()
            process = started(maker, place)
            time.sleep(random.Random(seed).uniform(0, LONGEST))
            if process.is_alive():
                unfinished += 1
                os.kill(process.pid or 0, SIGNALS[seed % len(SIGNALS)])
            process.join()
            again = started(maker, place)
            again.join()
            lost += again.exitcode != 0 or len(list(place.iterdir())) != 1
        return Tally(
            seeds, lost, f"{unfinished} ended unfinished; the same command then failed, or left files over, in {lost}"
        )

    return tried


def at_once(folder: Path, seeds: int) -> Tally:
    """Several processes at first use."""
    failed = 0
    for seed in range(max(1, seeds // 4)):
        place = folder / str(seed)
        place.mkdir()
        processes = [started(maker, place) for maker in (make_runs_store, make_study) for _ in range(AT_ONCE)]
        for process in processes:
            process.join()
        failed += sum(process.exitcode != 0 for process in processes)
    return Tally(max(1, seeds // 4) * AT_ONCE * 2, failed, f"{AT_ONCE} processes at a time, each database")


def suspended(folder: Path, seeds: int) -> Tally:
    """A process is stopped, longer than heartbeats may fail, while it holds a trial; another looks for dead ones."""
    lost = 0
    with patch.multiple(storage, BEAT=BEAT, SILENCE=SILENCE):
        for seed in range(max(1, seeds // 4)):
            place = folder / str(seed)
            place.mkdir()
            with opened(place) as ledger:
                process = started(hold, place)
                while not ledger.running():
                    time.sleep(0.1)
                os.kill(process.pid or 0, signal.SIGSTOP)
                time.sleep(SUSPENDED)
                ledger.reap()
                os.kill(process.pid or 0, signal.SIGCONT)
                process.join()
                lost += ledger.counts() != {"completed": 1, "open": 0}
    return Tally(max(1, seeds // 4), lost, f"{SUSPENDED:.0f} s, heartbeats missed for {SILENCE} s give up a silent one")


def hold(folder: Path) -> None:
    """Claim the one run there is, work on it for a while, finish it."""
    with opened(folder) as ledger:
        trial = ledger.claim()
        assert trial is not None
        with beating(ledger.study, trial):
            time.sleep(SUSPENDED / 2)
        ledger.finish(trial, 1.0, {"outcome": "completed"})


@contextmanager
def opened(folder: Path, seeds: Sequence[int] = (0,)) -> Iterator[Ledger]:
    """A ledger of one arm, a run each seed."""
    config = composed()
    plan = Plan([], {"a": Arm("", {"model": config.model.name}, "a", {}, config)}, {}, 0, [*seeds])
    with storage.open_study(f"sqlite:///{folder}/optuna.db", "slug", "minimize") as study:
        yield Ledger(study, plan)


def started(work: Callable[[Path], None], folder: Path) -> BaseProcess:
    """A process that does some work, forked: it begins with it at once."""
    process = get_context("fork").Process(target=quietly, args=(work, folder))
    process.start()
    return process


def quietly(work: Callable[[Path], None], folder: Path) -> None:
    """Run the work with its messages discarded; Ctrl-C ends it as it ends a command."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())
    with suppress(KeyboardInterrupt):
        work(folder)


def at_once_on_a_server(folder: Path, seeds: int) -> Tally:
    """Several processes at first use of an empty database of PostgreSQL; then one that is killed, and the next one."""
    failed = killed = 0
    make_runs_store(folder)
    with postgres() as create:
        for seed in range(max(1, seeds // 4)):
            addresses = {create(f"runs{seed}"): open_runs, create(f"trials{seed}"): open_trials}
            processes = [started(partial(make, url), folder) for url, make in addresses.items() for _ in range(2)]
            failed += sum(_ended(process) != 0 for process in processes)
        for seed in range(seeds):
            first = started(partial(open_runs, url := create(f"killed{seed}")), folder)
            first.join(random.Random(seed).uniform(0, LONGEST))
            if first.is_alive():
                killed += 1
                first.kill()
            failed += _ended(started(partial(open_runs, url), folder)) != 0
    return Tally(max(1, seeds // 4) * 4 + seeds, failed, f"two processes at a time, each database; {killed} killed")


def open_runs(url: str, folder: Path) -> None:
    """Open a store of runs at some address."""
    store.prepare(url, "slug")


def open_trials(url: str, folder: Path) -> None:
    """Open a database of the study at some address."""
    with storage.open_study(url, "slug", "minimize") as study:
        study.set_user_attr("opened", True)


def _ended(process: BaseProcess) -> int | None:
    process.join()
    return process.exitcode


FAULTS = [
    Fault("mlflow-tables", "killed, or Ctrl-C, while MLflow's tables are made", interrupted(make_runs_store)),
    Fault("optuna-tables", "killed, or Ctrl-C, while Optuna's tables are made", interrupted(make_study)),
    Fault("first-use", "databases opened for the first time by several processes at once", at_once),
    Fault("first-use-postgres", "PostgreSQL opened for the first time, or killed then", at_once_on_a_server),
    Fault("suspended", "the process of a trial stopped for longer than heartbeats may fail, then continued", suspended),
]
