"""The one shared book of a sweep: an Optuna study in which every run that is planned, going on or done is a trial.

Any number of processes and machines may write in it. A run that is to be made waits as a WAITING trial; claiming one
is atomic. Two commands started at once may put the same run down twice: the later trial then fails as surplus.
"""

import math
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Literal

import optuna
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from study.sweep import owner
from study.sweep.plan import Cell, Plan

Direction = Literal["minimize", "maximize"]

ALIVE = (TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
OVER = (TrialState.COMPLETE, TrialState.PRUNED)
GRACE = timedelta(seconds=60)
"""A trial whose owner died between claiming it and signing is given up after this."""
LOST = 3
"""A run whose process dies this often kills it: it is not put down again."""


def open_study(url: str, slug: str, direction: Direction = "minimize") -> optuna.Study:
    """The study of a slug, created with its tables if need be; processes that do so at once wait for each other."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    patience = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    for pause in (0.1, 0.3, 1, 3, 10):
        try:
            storage = RDBStorage(url, engine_kwargs=patience)
            return optuna.create_study(storage=storage, study_name=slug, direction=direction, load_if_exists=True)
        except (SQLAlchemyError, StorageInternalError):
            time.sleep(pause * random.uniform(1, 2))
    storage = RDBStorage(url, engine_kwargs=patience)
    return optuna.create_study(storage=storage, study_name=slug, direction=direction, load_if_exists=True)


def cell_of(trial: FrozenTrial | Trial) -> Cell:
    """The cell that a trial is a try of."""
    return Cell(**trial.user_attrs["cell"])


def standing(tries: list[FrozenTrial]) -> FrozenTrial:
    """The try that tells how a cell stands: the first that counts, else the last that failed."""
    return next((trial for trial in tries if trial.state in ALIVE), tries[-1])


class Ledger:
    """A study read and written in the terms of a plan.

    Args:
        study: see `open_study`.
        plan: other trials of the study are left alone.
    """

    def __init__(self, study: optuna.Study, plan: Plan):
        self.study, self.plan = study, plan
        self._storage = study._storage

    def tries(self) -> dict[str, list[FrozenTrial]]:
        """The plan's trials by key of their cell, oldest first, surplus ones left out."""
        found: dict[str, list[FrozenTrial]] = defaultdict(list)
        for trial in self.study.get_trials(deepcopy=False):
            if "cell" in trial.user_attrs and "surplus" not in trial.user_attrs and cell_of(trial) in self.plan:
                found[cell_of(trial).key].append(trial)
        return found

    def standings(self) -> list[FrozenTrial]:
        """Every cell that was put down, as it stands; of a search's confirmations only those of the present winners."""
        tries = self.tries()
        return [standing(tries[cell.key]) for cell, _ in self._wanted(tries) if cell.key in tries]

    def stock(self, failed_too: bool = False) -> None:
        """Put down every run that is wanted and neither waiting, running nor done.

        Those whose process was killed or interrupted are put down again; those that raised only with `failed_too`.
        """
        tries = self.tries()
        for cell, params in self._wanted(tries):
            mine = tries.get(cell.key, [])
            if mine and (standing(mine).state in ALIVE or (_is_settled(mine) and not failed_too)):
                continue
            attributes: dict[str, Any] = {
                "cell": asdict(cell),
                "arm": self.plan.arms[cell.arm].label,
                "phase": cell.phase,
            }
            attributes |= {"seed": cell.seed, **self.plan.arms[cell.arm].values}
            self.study.enqueue_trial(params, user_attrs=attributes)

    def claim(self) -> Trial | None:
        """Take the first waiting run of the plan for this process; None if none waits."""
        for waiting in self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            if "cell" in waiting.user_attrs and cell_of(waiting) in self.plan and self._take(waiting._trial_id):
                trial = Trial(self.study, waiting._trial_id)
                trial.set_user_attr("owner", owner.me())
                if not self._is_surplus(waiting):
                    return trial
                trial.set_user_attr("surplus", True)
                self._fail(waiting._trial_id)
        return None

    def finish(self, trial: Trial, value: float, record: Mapping[str, Any]) -> None:
        """Write down what came of a run; NaN counts as the worst there is."""
        worst = math.inf if self.study.direction == StudyDirection.MINIMIZE else -math.inf
        self._note(trial, record)
        with suppress(UpdateFinishedTrialError, ValueError):  # reaped by mistake: another try is under way
            self.study.tell(trial, worst if math.isnan(value) else value)

    def fail(self, trial: Trial, error: BaseException) -> None:
        """Write down that a run raised."""
        self._note(trial, {"error": f"{type(error).__name__}: {error}"[:1000]})
        self._fail(trial._trial_id)

    def give_back(self, trial: Trial) -> None:
        """An interrupted run: to be made by whoever comes next."""
        self._note(trial, {"interrupted": True})
        self._fail(trial._trial_id)

    def reap(self) -> None:
        """Give up the running trials whose process is dead."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            signed = trial.user_attrs.get("owner")
            unsigned = trial.datetime_start is not None and datetime.now() - trial.datetime_start > GRACE
            if owner.is_dead(signed) if signed else unsigned:
                self._fail(trial._trial_id)

    def open_runs(self) -> int:
        """Runs of the plan that are not made and can still be, confirmations not yet known included."""
        over = sum(trial.state in OVER or trial.state == TrialState.FAIL for trial in self.standings())
        return len(self.plan) - over

    def is_busy(self) -> bool:
        """Whether a run of the plan is waiting or under way anywhere."""
        return any(trial.state in (TrialState.WAITING, TrialState.RUNNING) for trial in self.standings())

    def _wanted(self, tries: Mapping[str, list[FrozenTrial]]) -> Iterator[tuple[Cell, dict[str, Any]]]:
        """Every cell of the plan that can be run by now, with the parameters that are fixed for it."""
        yield from ((cell, {}) for cell in self.plan.cells())
        for arm in self.plan.arms if self.plan.search else ():
            winner = self._winner([tries.get(cell.key, []) for cell in self.plan.cells() if cell.arm == arm])
            if winner is not None:
                yield from ((cell, winner.params) for cell in self.plan.confirmation(arm, winner.number))

    def _winner(self, search: list[list[FrozenTrial]]) -> FrozenTrial | None:
        """The best trial of an arm's search once all of it is settled; None before, or if every trial failed."""
        complete = [t for t in map(standing, filter(None, search)) if t.state == TrialState.COMPLETE]
        if not complete or not all(map(_is_settled, search)):
            return None
        sign = 1 if self.study.direction == StudyDirection.MINIMIZE else -1
        return min(complete, key=lambda trial: sign * trial.values[0])

    def _take(self, trial_id: int) -> bool:
        with suppress(UpdateFinishedTrialError):
            return self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
        return False

    def _fail(self, trial_id: int) -> None:
        with suppress(UpdateFinishedTrialError):  # another process was first
            self._storage.set_trial_state_values(trial_id, TrialState.FAIL)

    def _note(self, trial: Trial, record: Mapping[str, Any]) -> None:
        with suppress(UpdateFinishedTrialError):
            for key, value in record.items():
                trial.set_user_attr(key, value)

    def _is_surplus(self, trial: FrozenTrial) -> bool:
        """Whether an earlier trial makes, or has made, the same run."""
        others = self.tries()[cell_of(trial).key]
        return any(other.number < trial.number and other.state in ALIVE for other in others)


def _is_settled(tries: list[FrozenTrial]) -> bool:
    """Whether nothing more comes of a cell by itself: it is done, it raised, or it killed its process too often."""
    if not tries:
        return False
    last = standing(tries)
    lost = sum("error" not in t.user_attrs and "interrupted" not in t.user_attrs for t in tries)
    return last.state in OVER or (last.state == TrialState.FAIL and ("error" in last.user_attrs or lost >= LOST))
