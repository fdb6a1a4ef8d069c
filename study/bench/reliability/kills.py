"""A tiny sweep, or a run, that is killed, interrupted or terminated, and then typed again until it is made.

A thing tried is one sweep, or one run. It is lost where a cell is not made or made twice, where a run or a trial stays
under way, where a number, a weight or a file is not that of one to which nothing happened, or where a process stays.
"""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from unittest.mock import patch

import psutil

from study.bench.reliability import commands, first
from study.bench.reliability.aims import Aim, take
from study.bench.reliability.commands import RUN, SWEEP, Command, ending
from study.bench.reliability.contract import Fault, Tally

SPAN = 4.0
"""Seconds in which the workers of an undisturbed sweep train, about."""
GRACE = 10.0
"""Seconds from SIGTERM to SIGKILL, as `docker stop` waits."""
UNSIGNED = timedelta(seconds=3)
"""In place of a minute, until a trial that nobody has signed is given up."""
QUICK = 0.2
"""Seconds, in place of one, between two reads of the ledger."""
JUMPS = (1.0, -1.0, 3600.0, -3600.0)
"""Seconds by which the clock is set."""
Prepared = Callable[[Path, int], object]
Strike = Callable[[Command, random.Random], object]

OPTUNA, LEDGER = "study.sweep.trials.optuna_private", "study.sweep.trials.ledger"
CHECKPOINT = [Aim("torch", "save", 8, writes=True), Aim("study.training.checkpoint", "save", 8)]
ARTIFACT = [Aim("shutil", "copyfile", 12, writes=True)]
ARTIFACT += [
    Aim("mlflow", f"MlflowClient.{name}", most)
    for name, most in {"log_batch": 12, "log_artifacts": 12, "log_inputs": 1, "set_tag": 1}.items()
]
OWNER = [
    *(Aim(OPTUNA, name) for name in ("begin", "give_sign_of_life")),
    *(Aim(OPTUNA, "note", 3) for _ in range(2)),  # drawn twice as often
    Aim("mlflow", "MlflowClient.create_run", 2),
    Aim("optuna", "Study.tell"),
    Aim("mlflow", "MlflowClient.set_terminated"),
]
PARENT = [
    Aim("study.tracking.sweeps", "open_parent"),
    Aim("optuna", "Study.set_user_attr", 4),
    Aim("study.tracking.sweeps", "end_lost"),
    Aim("study.tracking.sweeps", "close_parent"),
    Aim("mlflow", "MlflowClient.update_run"),
]


def plainly() -> None:
    """Leave out what takes time and is nothing of a run: the page at the end, and some of the waiting."""
    replaced = {
        "study.report.pages.study.write": lambda *_, **__: "not made here",
        f"{LEDGER}.GRACE": UNSIGNED,
        "study.sweep.workers.launcher.PAUSE": QUICK,
        "study.sweep.workers.worker.POLL": QUICK,
        "study.sweep.workers.signals.PAUSE": QUICK,
    }
    for name, value in replaced.items():
        patch(name, value).start()


def undisturbed(folder: Path, arguments: Sequence[str]) -> float:
    """Make `empty`, stores to start from, and `reference`, where nothing happened; return the seconds of training."""
    commands.warm()
    (folder / "empty").mkdir()
    for make in (first.make_runs_store, first.make_study):
        first.started(make, folder / "empty").join()
    shutil.copytree(folder / "empty", folder / "reference")
    command = Command(folder / "reference", "study.train", arguments, plainly)
    _train(command, 0.0)
    start = time.monotonic()
    if (code := command.wait()) != 0:
        raise RuntimeError(f"the undisturbed command ended with exit code {code}")
    return time.monotonic() - start


def untouched(place: Path, seed: int) -> None:
    """Prepare a command to which something is done from outside."""
    plainly()


def aimed(*aims: Aim) -> Prepared:
    """Prepare a command that kills itself, or a worker itself, at a certain moment."""

    def prepare(place: Path, seed: int) -> None:
        plainly()
        take(place / "struck", aims, seed)

    return prepare


def clock(place: Path, seed: int) -> None:
    """Prepare a command in which the clock, as Python's libraries read it, is set while it trains."""
    plainly()
    jump, start, real = JUMPS[seed % len(JUMPS)], time.monotonic() + 2 + random.Random(seed).uniform(0, SPAN), time.time

    def now() -> float:
        return real() + (jump if time.monotonic() > start else 0.0)

    class Datetime(datetime):
        """The same clock."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(now(), tz)

    patch("time.time", now).start()
    for module in (LEDGER, "optuna.storages._rdb.storage", "study.sweep.workers.display"):
        patch(f"{module}.datetime", Datetime).start()


def row(arguments: Sequence[str], strike: Strike, prepare: Prepared = untouched) -> Callable[[Path, int], Tally]:
    """A row: a command that is struck, or strikes itself, and is then typed, or resumed, until it is made."""

    def tried(folder: Path, seeds: int) -> Tally:
        span = undisturbed(folder, arguments)
        wrong, states, struck, typed = list[str](), Counter[str](), 0, 0
        for seed in range(seeds):
            place = folder / str(seed)
            shutil.copytree(folder / "empty", place)
            command = Command(place, "study.train", arguments, partial(prepare, place, seed))
            draw = random.Random(seed)
            with ending(command):
                if prepare is untouched:
                    _train(command, draw.uniform(0, span))
                strike(command, draw)
                states += commands.states(place)
                typed += (count := commands.repeat(place, arguments, plainly))
                found = commands.wrong(place, folder / "reference", arguments, count, command)
            struck += (place / "struck").exists()
            wrong += [f"seed {seed}: {'; '.join(found)}"] if found else []
        after = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        seen = [f"runs after it: {after}", f"typed {typed} times", *([f"{struck} hit"] if struck else []), *wrong]
        return Tally(seeds, len(wrong), "; ".join(seen))

    return tried


def by_itself(command: Command, draw: random.Random) -> None:
    """Wait for the end of a command that is left to itself."""
    command.wait()


def killing(which: Callable[[Command, random.Random], Sequence[psutil.Process]]) -> Strike:
    """Kill some of a command's processes: what is left has to end by itself, or to go on without them."""

    def strike(command: Command, draw: random.Random) -> None:
        _kill(which(command, draw))
        command.wait()

    return strike


def a_worker(command: Command, draw: random.Random) -> list[psutil.Process]:
    """A process that trains."""
    return draw.sample(command.workers(), k=min(1, len(command.workers())))


def forker(command: Command, draw: random.Random) -> list[psutil.Process]:
    """The process from which those that train are forked."""
    return command.warm()


def parent(command: Command, draw: random.Random) -> list[psutil.Process]:
    """The command itself."""
    return [process for process in command.processes() if process.pid == command.pid]


def everything(command: Command, draw: random.Random) -> list[psutil.Process]:
    """All processes, as where a machine loses its power."""
    return command.processes()


def interrupt(command: Command, draw: random.Random) -> None:
    """Ctrl-C, once or twice, to the processes of the foreground."""
    for _ in range(draw.randint(1, 2)):
        with suppress(ProcessLookupError):
            os.killpg(command.pid, signal.SIGINT)
        time.sleep(draw.uniform(0, 1))
    command.wait()


def terminate(command: Command, draw: random.Random) -> None:
    """SIGTERM to the command, or to all its processes, and SIGKILL to what is left after a while."""
    for process in command.processes():
        if process.pid == command.pid or draw.random() < 0.5:
            process.terminate()
    if command.wait(GRACE) is None:
        _kill(command.processes())
    command.wait()


def _train(command: Command, seconds: float) -> None:
    """Let a command train for a while."""
    while command.code is None and not (command.folder / "outputs").exists():
        time.sleep(0.05)
    command.wait(seconds)


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


FAULTS = [
    Fault("kill-worker", "a worker of a sweep killed", row(SWEEP, killing(a_worker))),
    Fault("kill-warm", "the process that a sweep's workers are forked from killed", row(SWEEP, killing(forker))),
    Fault("kill-parent", "the command of a sweep killed", row(SWEEP, killing(parent))),
    Fault("kill-everything", "all processes of a sweep killed at once", row(SWEEP, killing(everything))),
    Fault("kill-checkpoint", "a worker killed while it writes a checkpoint", row(SWEEP, by_itself, aimed(*CHECKPOINT))),
    Fault("kill-artifact", "a worker killed while it writes to MLflow", row(SWEEP, by_itself, aimed(*ARTIFACT))),
    Fault("kill-owner", "a worker killed while it claims, signs or ends a trial", row(SWEEP, by_itself, aimed(*OWNER))),
    Fault("kill-record", "the command killed while it writes the sweep's run", row(SWEEP, by_itself, aimed(*PARENT))),
    Fault("clock", "the clock set by a second, or an hour, in a sweep", row(SWEEP, by_itself, clock)),
    Fault("ctrl-c", "Ctrl-C once or twice in a sweep", row(SWEEP, interrupt)),
    Fault("ctrl-c-run", "Ctrl-C once or twice in a run, resumed", row(RUN, interrupt)),
    Fault("sigterm", "a sweep terminated, as Slurm and `docker stop` do", row(SWEEP, terminate)),
    Fault("sigterm-run", "a run terminated, resumed", row(RUN, terminate)),
]
