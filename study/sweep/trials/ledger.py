"""The one shared book of a sweep: an Optuna study in which every run that is planned, going on or done is a trial.

Any number of processes and machines may write in it. Who wants to make a run puts it down as a WAITING trial and then
claims it, which is atomic. Two at once may put the same run down twice: the later trial then fails as surplus.
"""

import math
import random
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from study.sweep.planning.plan import Cell, Plan
from study.sweep.trials import process as owner
from study.sweep.trials.status import CellStatus, State, cell_of, cell_statuses, count, is_alive

Order = Literal["stop", "stop at once"]

GRACE = timedelta(seconds=60)
"""A trial whose owner died between claiming it and signing is given up after this."""
AHEAD = 16
"""A process takes one of the first so many open runs, at random, so that those which start at once do not collide."""


class Ledger:
    """A study read and written in the terms of a plan.

    Args:
        study: see `study.sweep.trials.storage`.
        plan: other trials of the study are left alone.
        launch: name of the command that this process works for: it may order its workers to stop.
    """

    def __init__(self, study: optuna.Study, plan: Plan, launch: str = ""):
        self.study, self.plan, self.launch = study, plan, launch
        self.storage: BaseStorage = study._storage

    @property
    def sign(self) -> int:
        """1 where less is better, -1 where more is."""
        return 1 if self.study.direction == StudyDirection.MINIMIZE else -1

    def statuses(self) -> list[CellStatus]:
        """Every cell that is known by now: all but the confirmations of searches that still go on."""
        return cell_statuses(self.plan, self.study.get_trials(deepcopy=False), self.sign)

    def counts(self) -> Counter[State]:
        """How many runs stand how; confirmations are open while the searches before them go on."""
        return count(self.plan, self.statuses())

    def retry(self) -> None:
        """Put the failed runs down once more."""
        for status in self.statuses():
            if status.state == "failed":
                self._enqueue(status)

    def claim(self) -> Trial | None:
        """Take an open run of the plan for this process; None if there is none."""
        while True:
            for waiting in self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                cell = cell_of(waiting)
                if cell is not None and cell in self.plan and (trial := self._take(cell, waiting)):
                    return trial
            statuses = [status for status in self.statuses() if status.state == "open"]
            if not statuses:
                return None
            self._enqueue(random.choice(statuses[:AHEAD]))

    def _enqueue(self, status: CellStatus) -> None:
        """Make a waiting trial of a cell."""
        arm = self.plan.arms[status.cell.arm]
        shown: dict[str, Any] = {"arm": arm.label, "phase": status.cell.phase, "seed": status.cell.seed}
        attributes = {"cell": asdict(status.cell), **shown, **arm.values}
        self.study.enqueue_trial(status.params, user_attrs=attributes)

    def _take(self, cell: Cell, waiting: FrozenTrial) -> Trial | None:
        """Claim a waiting trial; None if another process was first, or an earlier trial is of the same run."""
        if not self._set(waiting._trial_id, TrialState.RUNNING):
            return None
        trial = Trial(self.study, waiting._trial_id)
        self._sign(trial)
        if self._is_surplus(cell, trial.number):
            self.note(trial, {"surplus": True})
            self._set(trial._trial_id, TrialState.FAIL)
            return None
        return trial

    def _sign(self, trial: Trial) -> None:
        """Say whose a trial is."""
        self.storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
        self.note(trial, {"owner": {**owner.me(), "launch": self.launch}})

    def interrupted_run(self, trial: Trial) -> str | None:
        """The MLflow run to go on with: of the last try of the same values, if nobody can be writing in it any more."""
        cell, params = cell_of(trial), trial.params
        tries = [t for t in self.study.get_trials(deepcopy=False) if t.number < trial.number and cell_of(t) == cell]
        last = tries[-1].user_attrs if tries else {}
        if "run_id" not in last or "error" in last or tries[-1].params != params:
            return None
        return last["run_id"] if "interrupted" in last or owner.is_dead(last["owner"]) else None

    def superseded(self) -> list[str]:
        """MLflow runs that confirm a winner which a longer search has replaced: they are no longer what counts."""
        confirmed = [status.cell for status in self.statuses() if status.cell.phase == "confirm"]
        winner = {cell.arm: cell.number for cell in confirmed}
        old = []
        for trial in self.study.get_trials(deepcopy=False):
            cell = cell_of(trial)
            if cell and cell.phase == "confirm" and cell.number != winner.get(cell.arm, cell.number):
                old.append(trial.user_attrs.get("run_id"))
        return [run_id for run_id in old if run_id is not None]

    def finish(self, trial: Trial, value: float | None, record: Mapping[str, Any]) -> None:
        """Write down what came of a run; NaN counts as the worst there is, None as nothing to learn from."""
        self.note(trial, record)
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        told = self.sign * math.inf if value is not None and math.isnan(value) else value
        with suppress(UpdateFinishedTrialError, ValueError):  # given up by mistake: another try is under way
            self.study.tell(trial, told, state)

    def prune(self, trial: Trial) -> None:
        """End a trial that is not worth its time; Optuna takes its last interim value for its result."""
        self.note(trial, {"outcome": "pruned"})
        with suppress(UpdateFinishedTrialError, ValueError):
            self.study.tell(trial, state=TrialState.PRUNED)

    def running(self) -> list[FrozenTrial]:
        """All trials of the study that are under way, the plan's or not."""
        return self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def fail(self, trial: Trial, record: Mapping[str, Any]) -> None:
        """End a run that raised (`error` in the record) or was interrupted (`interrupted`: it is made again)."""
        self.note(trial, record)
        self._set(trial._trial_id, TrialState.FAIL)

    def note(self, trial: Trial, record: Mapping[str, Any]) -> None:
        """Write into a trial, unless it was given up by mistake."""
        with suppress(UpdateFinishedTrialError):
            for key, value in record.items():
                trial.set_user_attr(key, value)

    def reap(self) -> None:
        """Give up running trials whose process is dead (this machine) or silent (another)."""
        silent = self.storage._get_stale_trial_ids(self.study._study_id)  # type: ignore[attr-defined]
        for trial in self.running():
            signed = trial.user_attrs.get("owner")
            unsigned = trial.datetime_start is not None and datetime.now() - trial.datetime_start > GRACE
            if trial._trial_id in silent or (owner.is_dead(signed) if signed else unsigned):
                self._set(trial._trial_id, TrialState.FAIL)

    def order(self, order: Order) -> None:
        """Have every worker of this launch leave, wherever it runs."""
        self.study.set_user_attr(f"order {self.launch}", order)

    def ordered(self) -> Order | None:
        """What this launch was told."""
        return self.storage.get_study_user_attrs(self.study._study_id).get(f"order {self.launch}")

    def claimed(self) -> dict[int, TrialState]:
        """Number and state of the trials that workers of this launch have claimed."""
        trials = self.study.get_trials(deepcopy=False)
        return {t.number: t.state for t in trials if t.user_attrs.get("owner", {}).get("launch") == self.launch}

    def _set(self, trial_id: int, state: TrialState) -> bool:
        """Change a trial's state; False if another process was first."""
        with suppress(UpdateFinishedTrialError):
            return self.storage.set_trial_state_values(trial_id, state)
        return False

    def _is_surplus(self, cell: Cell, number: int) -> bool:
        """Whether an earlier trial makes, or has made, the same run."""
        earlier = (t for t in self.study.get_trials(deepcopy=False) if t.number < number and cell_of(t) == cell)
        return any(is_alive(trial) for trial in earlier)
