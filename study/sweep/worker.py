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

from study.schema import Config, validate
from study.sweep.ledger import Ledger, cell_of, open_study
from study.sweep.plan import Cell, Composer, Plan, exists
from study.sweep.sampler import ArmSampler

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
        plan: what is to be run.
        storage: URL of the Optuna storage.
        slug: of the study.
        parent: MLflow run id of the sweep.
        folder: of the sweep, for checkpoints and what workers print.
    """

    loader: ConfigLoader
    master: DictConfig
    plan: Plan
    storage: str
    slug: str
    parent: str
    folder: Path

    def __call__(self, _: DictConfig) -> None:
        """Work until no run of the plan is left."""
        stop = Stop()
        with self._printing_to_a_file(), stop.listening():
            study = open_study(self.storage, self.slug)
            study.sampler = ArmSampler(seed=int.from_bytes(os.urandom(4)))
            ledger = Ledger(study, self.plan)
            while not stop.asked:
                ledger.reap()
                ledger.stock()
                trial = ledger.claim()
                if trial is not None:
                    self._run(ledger, trial, stop)
                elif ledger.is_busy():
                    time.sleep(POLL)
                else:
                    break

    def _run(self, ledger: Ledger, trial: optuna.Trial, stop: Stop) -> None:
        """One run from its claim to its record; whatever it raises is its own."""
        try:
            config, result = self._train(trial, stop)
        except (KeyboardInterrupt, SystemExit):
            ledger.give_back(trial)
            if not stop.asked:
                raise
        except Exception as error:
            traceback.print_exc()
            ledger.fail(trial, error)
        else:
            ledger.finish(trial, result.objective, record(config, result))

    def _train(self, trial: optuna.Trial, stop: Stop) -> "tuple[Config, Result]":
        from study.sweep.channel import Channel
        from study.train import train

        cell = cell_of(trial)
        composer = Composer(self.loader, self.master)
        overrides = sample(self.plan, cell, trial, composer)
        config = validate(composer.compose(overrides))
        arm = self.plan.arms[cell.arm].label
        tags = {"study": self.slug, "trial": trial.number, "arm": arm, "phase": cell.phase}
        name = f"{self.plan.names[cell.arm]} {cell.phase} {cell.seed}"
        folder = self.folder / str(trial.number)
        parts: dict[str, Any] = {"name": name, "parent": self.parent, "tags": tags, "folder": folder}
        return config, train(config, overrides, **parts, callbacks=[Channel(stop)])

    @contextlib.contextmanager
    def _printing_to_a_file(self) -> Iterator[None]:
        """Whatever is printed or warned of while working belongs into a file, not between the lines of a display."""
        path = self.folder / "workers" / f"{socket.gethostname()}-{os.getpid()}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", buffering=1) as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield


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


def record(config: Config, result: "Result") -> dict[str, Any]:
    """What the sweep's own tables need of a run."""
    from study.tasks import TASKS

    measure, found = TASKS[config.task.name].primary, result.measures  # type: ignore[attr-defined]
    return {
        "run_id": result.run_id,
        "outcome": result.diagnosis.outcome,
        "verdict": result.diagnosis.verdict,
        "measure": measure,
        "test": found[f"{measure}/test"],
        "baseline": found.get(f"{measure}/baseline", math.nan),
        "half_life": found.get("flow/half_life", math.nan),
        "seconds": result.seconds,
    }
