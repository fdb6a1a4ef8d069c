"""A worker: claims an open run, trains it, records its result, until no run is left."""

import contextlib
import math
import os
import socket
import sys
import time
import traceback
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from omegaconf import DictConfig

from study.disk import writing
from study.errors import Pruned, Trouble
from study.masking import masked
from study.schema import SweepingConfig, validate
from study.sweep.planning.composer import Composer, exists
from study.sweep.planning.plan import Plan, PlannedCell
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.optuna_private import beating
from study.sweep.trials.pruner import build_pruner
from study.sweep.trials.sampler import build_sampler
from study.sweep.trials.storage import open_study
from study.sweep.workers.seeds import Record, join, mean_objective
from study.sweep.workers.signals import GivenUp, Stop, giving_up
from study.tracking.place import Place

if TYPE_CHECKING:
    from study.analysis.result import Result

POLL = 1.0
"""Seconds between two looks for dead workers, and between two reads of the study while only others' runs are left."""


@dataclass
class Worker:
    """The job of a launcher: runs in any process on any machine that reaches the study and the store of runs.

    Attributes:
        composer: of the plan's runs; it knows what was composed when they were planned.
        common: the checked part of the sweep's configuration that is one for all runs.
        plan: the runs to make.
        parent: MLflow run id of the sweep.
        folder: of the sweep, for checkpoints and logs of workers.
        launch: name of the command that it works for.
        gone: see `Ledger`.
        trouble: what ended this worker, if it could not write to its log or to the study.
    """

    composer: Composer
    common: SweepingConfig
    plan: Plan
    parent: str
    folder: Path
    launch: str
    gone: Collection[str] = ()
    trouble: Trouble | None = None

    def __call__(self, _: DictConfig) -> Trouble | None:
        """Work until no run of the plan is left, or until asked to stop: the run under way stays open then.

        Returns:
            What kept it from writing to its log or to the study, where the others could read of it.
        """
        if self.trouble:  # its trial still counts as running, because this process is alive
            return self.trouble
        stop, sweep = Stop(), self.common.sweep
        try:
            with (
                writing(sweep.storage),
                self._logging_to_a_file(),
                open_study(sweep.storage, self.common.slug) as study,
            ):
                study.sampler = build_sampler(sweep.sampler, self.plan.trials, int.from_bytes(os.urandom(4)))
                study.pruner = build_pruner(sweep.pruner)
                ledger = Ledger(study, self.plan, self.launch, self.gone)
                with stop.listening(ledger):
                    self._work(ledger, stop)
        except Trouble as error:
            self.trouble = error
            print(error, file=sys.stderr)  # the local launcher drops what jobs return
        return self.trouble

    def _work(self, ledger: Ledger, stop: Stop) -> None:
        """Make run after run; without an open one, wait while others run: their workers may die."""
        reaped = -math.inf
        while not stop.asked:
            if time.monotonic() - reaped >= POLL:
                ledger.reap()
                reaped = time.monotonic()
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
        """Make one run and end its trial, whatever it raises."""
        try:
            with beating(ledger.study, trial), stop.working_on(trial):
                runs = self._train_seeds(ledger, trial, stop)
        except GivenUp:
            self._leave(trial)
        except (KeyboardInterrupt, SystemExit):
            ledger.fail(trial, {"interrupted": True})
            stop.asked = True
        except Trouble as error:
            ledger.fail(trial, {"interrupted": True})
            ledger.give_up(error)
            stop.asked = True
            print(error, file=sys.stderr)  # last: the log may lie on the disk that is full
        except Pruned:
            ledger.prune(trial)
        except Exception as error:
            print(masked(traceback.format_exc()), file=sys.stderr)
            ledger.fail(trial, {"error": masked(f"{type(error).__name__}: {error}")[:1000]})
        else:
            if not ledger.finish(trial, mean_objective([run["objective"] for run in runs]), join(runs)):
                self._leave(trial)

    def _leave(self, trial: optuna.Trial) -> None:
        """Say that a trial was given up, and mark its runs: those that count are the other process's."""
        from study.tracking import sweeps
        from study.tracking.trouble import patiently

        print(f"Trial {trial.number} was given up by another process, which makes its run: this one does not count.")
        uri, slug = self.common.tracking.uri, self.common.slug
        patiently(lambda: sweeps.supersede_trial(uri, slug, trial.number), uri)

    def _objective(self, result: "Result") -> float | None:
        """The objective of a run; of a diverged one NaN, the worst there is, or None with `sweep.diverged=fail`."""
        if result.diagnosis.outcome == "diverged":
            return math.nan if self.common.sweep.diverged == "worst" else None
        return result.metrics[self.common.sweep.measure(result.primary)]

    def _train_seeds(self, ledger: Ledger, trial: optuna.Trial, stop: Stop) -> list[Record]:
        """Make the runs of a trial, one for each of its seeds until one diverges; not again what was made of it."""
        cell = PlannedCell(**trial.user_attrs["cell"])
        with giving_up():
            overrides = sample(self.plan, cell, trial, self.composer)  # gives the trial its values: it is known by them
        before = ledger.interrupted(trial)
        made: dict[str, Record] = dict(before.get("made", {}))
        for seed in self.plan.seeds_of(cell):
            if str(seed) in made or any(run["outcome"] == "diverged" for run in made.values()):
                continue
            own = [f"seed={seed}" if text == f"seed={cell.seed}" else text for text in overrides]
            resume = before.get("run_id") if before.get("seed", seed) == seed else None
            result = self._train(ledger, trial, stop, own, list(made.values()), resume)
            made[str(seed)] = {"objective": self._objective(result), "updates": result.updates, **record(result)}
            if self._has_several_seeds(cell):
                ledger.note(trial, {"made": made})
        return list(made.values())

    def _train(
        self,
        ledger: Ledger,
        trial: optuna.Trial,
        stop: Stop,
        overrides: list[str],
        made: list[Record],
        resume: str | None,
    ) -> "Result":
        """Make one run; `made` are the runs of the trial on other seeds, `resume` the MLflow run to go on with."""
        from study.sweep.workers.callback import SweepCallback
        from study.tracking import sweeps
        from study.tracking.trouble import PATIENCE, patiently
        from study.train import train

        cell = PlannedCell(**trial.user_attrs["cell"])
        # Of the command, also where a worker's machine has another MLFLOW_TRACKING_URI, or none.
        shared = {"slug": self.common.slug, "tracking": self.common.tracking}
        config = validate(self.composer.compose(overrides)).model_copy(update=shared)
        uri, typed = config.tracking.uri, [*self.plan.fixed, *overrides]
        tags = {"study": self.common.slug, "trial": trial.number, "phase": cell.phase}
        place = Place(
            name=self.plan.name(cell, config.seed),
            parent=self.parent,
            tags={**tags, **self._arm(cell), **self._candidate(cell)},
            checkpoints=self.folder / "checkpoints",
            resume=resume if resume and patiently(lambda: sweeps.is_there(uri, resume), uri) else None,
            patience=PATIENCE,
            announce=lambda run_id: ledger.note(trial, {"run_id": run_id, "seed": config.seed}),
        )
        return train(config, typed, place, [SweepCallback(trial, config, stop, made)])

    def _has_several_seeds(self, cell: PlannedCell) -> bool:
        return cell.phase == "search" and self.plan.search_seeds > 1

    def _candidate(self, cell: PlannedCell) -> dict[str, int]:
        """A tag that the runs of one trial over several seeds share, also where an interruption divides them."""
        return {"candidate": cell.number} if self._has_several_seeds(cell) else {}

    def _arm(self, cell: PlannedCell) -> dict[str, str]:
        """Tags with the arm as the experiment states it, and as it is called among those of its task."""
        return {"arm": self.plan.arms[cell.arm].label, "arm_name": self.plan.names_within_tasks[cell.arm]}

    @contextlib.contextmanager
    def _logging_to_a_file(self) -> Iterator[None]:
        """Send what is printed and warned of in the block to a file: the terminal belongs to the display."""
        path = self.folder / "workers" / f"{socket.gethostname()}-{os.getpid()}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", buffering=1) as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield


def sample(plan: Plan, cell: PlannedCell, trial: optuna.Trial, composer: Composer) -> list[str]:
    """The overrides of a trial: those of its cell, and a value for every tuned key that the trial has.

    Options of groups are proposed first: they decide which keys there are.
    """
    overrides = plan.overrides(cell)
    if cell.phase == "grid":
        return overrides
    groups, dimensions = composer.groups, plan.search.values()
    overrides += [f"{d.key}={d.suggest(trial)}" for d in dimensions if d.key in groups]
    composed = composer.compose(overrides)
    valued = [d for d in dimensions if d.key not in groups and exists(composed, d.key)]
    return overrides + [f"{d.key}={d.suggest(trial)}" for d in valued]


def record(result: "Result") -> Record:
    """The attributes of a trial that the sweep's display and summary show."""
    found = result.metrics
    return {
        "outcome": result.diagnosis.outcome,
        "verdict": result.diagnosis.verdict,
        "cause": result.diagnosis.cause.name,
        "measure": result.primary,
        "test": found[f"{result.primary}/test"],
        "baseline": found[f"{result.primary}/baseline"],
        "opponent": found[f"{result.primary}/opponent"],
        "opponent_name": result.opponent,
        "skill": found["skill/opponent"],
        "half_life": found.get("flow/half_life", math.nan),
        "seconds": result.seconds,
        "run_updates": float(result.updates),
        "steps": result.steps,
        "notes": list(result.notes),
    }
