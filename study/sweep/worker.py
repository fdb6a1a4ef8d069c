"""A worker: claims one waiting run after another, trains it, writes down what came of it, until none is left."""

import contextlib
import math
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import optuna
from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig
from optuna.storages import BaseStorage
from optuna.storages._heartbeat import get_heartbeat_thread

from study.errors import Pruned
from study.schema import Sweeping, validate
from study.sweep.ledger import Ledger
from study.sweep.plan import Cell, Composer, Plan, exists
from study.sweep.pruning import build_pruner
from study.sweep.sampler import ArmSampler
from study.sweep.storage import open_study

if TYPE_CHECKING:
    from study.conclusion import Result

POLL = 1.0
"""Seconds between looks at the study while others still run, who may die and leave their run to this worker."""


class Stop:
    """Ctrl-C once: finish the update under way, then leave; twice: leave at once."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        """Remember a signal; the second one interrupts."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM while in the block, where signals can be taken: in a main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass
class Worker:
    """What a launcher runs, in any process on any machine that reaches the storage and the store of runs.

    Attributes:
        loader: of Hydra.
        master: the composed configuration of the sweep.
        common: its checked part that is one for all runs.
        plan: what is to be run.
        parent: MLflow run id of the sweep.
        folder: of the sweep, for checkpoints and what workers print.
    """

    loader: ConfigLoader
    master: DictConfig
    common: Sweeping
    plan: Plan
    parent: str
    folder: Path

    def __call__(self, _: DictConfig) -> None:
        """Work until no run of the plan is left.

        Raises:
            KeyboardInterrupt: after a Ctrl-C, when the run under way has ended and waits to be made again.
        """
        stop = Stop()
        with self._printing_to_a_file(), stop.listening():
            study = open_study(self.common.sweep.storage, self.common.slug)
            study.sampler = ArmSampler(self.common.sweep.sampler, self.plan.trials, int.from_bytes(os.urandom(4)))
            study.pruner = build_pruner(self.common.sweep.pruner)
            self._work(Ledger(study, self.plan), stop)
        if stop.asked:
            raise KeyboardInterrupt

    def _work(self, ledger: Ledger, stop: Stop) -> None:
        """Run after run; where none waits, stay while others run: they may die and leave theirs."""
        while not stop.asked:
            ledger.reap()
            counts = ledger.counts()
            if counts["failed"] >= (self.common.sweep.failures or math.inf):
                break
            if (trial := ledger.claim()) is not None:
                self._run(ledger, trial, stop)
            elif counts["running"]:
                time.sleep(POLL)
            elif not counts["open"]:
                break

    def _run(self, ledger: Ledger, trial: optuna.Trial, stop: Stop) -> None:
        """One run from its claim to its record; whatever it raises is its own."""
        try:
            with beating(ledger.storage, trial):
                result = self._train(trial, stop)
        except (KeyboardInterrupt, SystemExit):
            ledger.fail(trial, {"interrupted": True})
            if not stop.asked:
                raise
        except Pruned:
            ledger.prune(trial)
        except Exception as error:
            traceback.print_exc()
            ledger.fail(trial, {"error": f"{type(error).__name__}: {error}"[:1000]})
        else:
            counts = result.diagnosis.outcome != "diverged" or self.common.sweep.diverged == "worst"
            ledger.finish(trial, result.objective if counts else None, record(result))

    def _train(self, trial: optuna.Trial, stop: Stop) -> "Result":
        from study.sweep.channel import Channel
        from study.train import train

        composer = Composer(self.loader, self.master)
        cell = Cell(**trial.user_attrs["cell"])
        overrides = sample(self.plan, cell, trial, composer)
        config = validate(composer.compose(overrides))
        arm = self.plan.arms[cell.arm].label
        return train(
            config,
            overrides,
            name=" ".join([self.plan.names[cell.arm], cell.phase, str(cell.number or cell.seed)]),
            parent=self.parent,
            tags={"study": self.common.slug, "trial": trial.number, "arm": arm, "phase": cell.phase},
            folder=self.folder / str(trial.number),
            callbacks=[Channel(trial, config, stop)],
        )

    @contextlib.contextmanager
    def _printing_to_a_file(self) -> Iterator[None]:
        """Whatever is printed or warned of while working belongs into a file, not between the lines of a display."""
        path = self.folder / "workers" / f"{socket.gethostname()}-{os.getpid()}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", buffering=1) as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield


@contextlib.contextmanager
def beating(storage: BaseStorage, trial: optuna.Trial) -> Iterator[None]:
    """Give signs of life for a trial while in the block, whatever else the process is busy with."""
    thread = get_heartbeat_thread(trial._trial_id, storage)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def sample(plan: Plan, cell: Cell, trial: optuna.Trial, composer: Composer) -> list[str]:
    """All overrides of a trial: its cell's, and a value for each tuned key that exists in the trial.

    Groups are chosen first: they decide which keys exist.
    """
    overrides, groups = plan.overrides(cell), composer.groups()
    dimensions = plan.search.values() if cell.phase != "grid" else ()
    overrides += [f"{d.key}={d.suggest(trial)}" for d in dimensions if d.key in groups]
    composed = composer.compose(overrides)
    valued = [d for d in dimensions if d.key not in groups and exists(composed, d.key)]
    return overrides + [f"{d.key}={d.suggest(trial)}" for d in valued]


def record(result: "Result") -> dict[str, Any]:
    """What the sweep's own tables need of a run."""
    found = result.measures
    return {
        "run_id": result.run_id,
        "outcome": result.diagnosis.outcome,
        "verdict": result.diagnosis.verdict,
        "measure": result.primary,
        "test": found[f"{result.primary}/test"],
        "baseline": found[f"{result.primary}/baseline"],
        "half_life": found.get("flow/half_life", math.nan),
        "seconds": result.seconds,
    }
