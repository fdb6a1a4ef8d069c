"""The shared record of a sweep: an Optuna study in which every run, once it is under way, has a trial.

Any number of processes and machines may use it at once. A process that wants to make a run enqueues a WAITING trial of
its cell and then claims it, which is atomic. Two processes may enqueue the same cell at the same time: the later trial
then fails as surplus.
"""

import math
import random
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from study.errors import Trouble
from study.sweep.planning.plan import Plan, PlannedCell
from study.sweep.trials import optuna_private, process
from study.sweep.trials.index import TrialIndex
from study.sweep.trials.status import CellStatus, State, cell_of, count, counts_as_made

Order = Literal["stop", "stop at once"]

GRACE = timedelta(seconds=60)
"""A running trial that names no owner after this time is given up: its process died between claiming and signing."""
AHEAD = 16
"""A process takes one of the first so many open cells at random: processes that start at once do not collide."""


class Ledger:
    """A study read and written in the terms of a plan.

    Args:
        study: see `study.sweep.trials.storage`.
        plan: trials of other plans are left alone.
        launch: name of the command that this process works for; the command may order its workers to stop.
        gone: MLflow runs that were made by earlier commands and were deleted since: they are to be made again.
    """

    def __init__(self, study: optuna.Study, plan: Plan, launch: str = "", gone: Collection[str] = ()):
        self.study, self.plan, self.launch, self.gone = study, plan, launch, gone
        self._index = TrialIndex(study, plan, self.sign, gone)

    @property
    def sign(self) -> int:
        """1 where less is better, -1 where more is."""
        return 1 if self.study.direction == StudyDirection.MINIMIZE else -1

    def statuses(self) -> list[CellStatus]:
        """The state of every cell known by now: of all but the confirmations of searches that are not over."""
        return self._index.statuses()

    def recorded(self) -> set[str]:
        """The MLflow runs of all trials that have made their runs."""
        made = (trial for trial in self._trials() if trial.state.is_finished() and counts_as_made(trial))
        return {trial.user_attrs["run_id"] for trial in made if "run_id" in trial.user_attrs}

    def counts(self) -> Counter[State]:
        """Number of runs by state; confirmations count as open while the searches before them are not over."""
        return count(self.plan, self.statuses())

    def retry(self) -> None:
        """Enqueue the failed runs once more."""
        for status in self.statuses():
            if status.state == "failed":
                self._enqueue(status)

    def claim(self) -> Trial | None:
        """Take an open run of the plan for this process; None if there is none."""
        while True:
            for waiting in self._trials(TrialState.WAITING):
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

    def _take(self, cell: PlannedCell, waiting: FrozenTrial) -> Trial | None:
        """Claim a waiting trial; None if another process was first, or an earlier trial makes the same run."""
        trial = optuna_private.claim(self.study, waiting)
        if trial is None:
            return None
        if not self.note(trial, {"owner": {**process.current(), "launch": self.launch}}):
            return None  # given up before it was signed: this process was suspended, or its clock was set
        if self._is_surplus(cell, trial.number):
            self.note(trial, {"surplus": True})
            optuna_private.set_state(self.study, trial, TrialState.FAIL)
            return None
        return trial

    def _is_surplus(self, cell: PlannedCell, number: int) -> bool:
        """Whether an earlier trial makes, or has made, the same run."""
        earlier = (trial for trial in self._index.of(cell) if trial.number < number)
        return any(counts_as_made(trial, self.gone) for trial in earlier)

    def interrupted(self, trial: Trial) -> Mapping[str, Any]:
        """The attributes of the trial to resume: the cell's last, if it had the same values and its process is gone.

        One that was killed before it had a run is passed over: the run of the one before is still to be resumed.
        """
        params = trial.params
        earlier = [t for t in self._index.of(cell_of(trial)) if t.number < trial.number]
        started = [t for t in earlier if {"run_id", "error"} & set(t.user_attrs)]
        last = started[-1].user_attrs if started else {}
        if "run_id" not in last or "error" in last or started[-1].params != params or last["run_id"] in self.gone:
            return {}
        return last if "interrupted" in last or process.was_here(last["owner"]) else {}

    def superseded(self) -> list[str]:
        """MLflow runs that confirm a winner which a longer search has replaced: they no longer count."""
        confirmed = [status.cell for status in self.statuses() if status.cell.phase == "confirm"]
        winner = {cell.arm: cell.number for cell in confirmed}
        old = []
        for trial in self._trials():
            cell = cell_of(trial)
            if cell and cell.phase == "confirm" and cell.number != winner.get(cell.arm, cell.number):
                old.append(trial.user_attrs.get("run_id"))
        return [run_id for run_id in old if run_id is not None]

    def finish(self, trial: Trial, value: float | None, record: Mapping[str, Any]) -> bool:
        """End the trial of a run that came to its end; False if it was given up meanwhile: another makes the run.

        Args:
            trial: of the run.
            value: of the objective. NaN counts as the worst there is; with None the sampler learns nothing from it.
            record: attributes for the trial.
        """
        self.note(trial, record)
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        worst = self.sign * math.inf
        with suppress(UpdateFinishedTrialError, ValueError):
            self.study.tell(trial, worst if value is not None and math.isnan(value) else value, state)
            return True
        return False

    def prune(self, trial: Trial) -> None:
        """End a trial that a pruner gave up; Optuna takes its last interim value for its result."""
        self.note(trial, {"outcome": "pruned"})
        with suppress(UpdateFinishedTrialError, ValueError):
            self.study.tell(trial, state=TrialState.PRUNED)

    def fail(self, trial: Trial, record: Mapping[str, Any]) -> None:
        """End the trial of a run that raised (`error` in the record), or was `interrupted` and will be made again."""
        self.note(trial, record)
        optuna_private.set_state(self.study, trial, TrialState.FAIL)

    def note(self, trial: Trial, record: Mapping[str, Any]) -> bool:
        """Set attributes of a trial; False if it was given up meanwhile."""
        with suppress(UpdateFinishedTrialError):
            for key, value in record.items():
                trial.set_user_attr(key, value)
            return True
        return False

    def holds(self, trial: Trial) -> bool:
        """Whether a trial of this process is still its own: not given up by another one."""
        return optuna_private.is_running(self.study, trial)

    def running(self) -> list[FrozenTrial]:
        """All running trials of the study, of this plan or of others."""
        return self._trials(TrialState.RUNNING)

    def reap(self) -> None:
        """Give up running trials whose process is dead (on this machine) or silent (on another).

        A process of this machine is asked, not timed: it may have been suspended, and its heart with it.
        """
        silent = optuna_private.silent_trials(self.study)
        for trial in self.running():
            owner = trial.user_attrs.get("owner")
            alive = process.is_alive(owner) if owner else None
            unsigned = trial.datetime_start is not None and datetime.now() - trial.datetime_start > GRACE
            if alive is False or (alive is None and (trial.number in silent or (owner is None and unsigned))):
                optuna_private.set_state(self.study, trial, TrialState.FAIL)

    def leave_own(self) -> None:
        """End the running trials of this process: nothing in it works on them any more."""
        for trial in self.running():
            if process.current().items() <= trial.user_attrs.get("owner", {}).items():
                optuna_private.set_state(self.study, trial, TrialState.FAIL)

    def order(self, order: Order) -> None:
        """Order every worker of this launch, on whatever machine, to stop."""
        self.study.set_user_attr(f"order {self.launch}", order)

    def ordered(self) -> Order | None:
        """The order to this launch; None if there is none."""
        return self.study.user_attrs.get(f"order {self.launch}")

    def give_up(self, error: Trouble) -> None:
        """Order every worker of this launch to stop, as something failed that all of them need."""
        self.study.set_user_attr(f"trouble {self.launch}", error.what)
        self.order("stop")

    def given_up(self) -> Trouble | None:
        """Why a worker of this launch has given up; None if none has."""
        found = self.study.user_attrs.get(f"trouble {self.launch}")
        return Trouble(found) if found else None

    def claimed(self) -> dict[int, TrialState]:
        """Number and state of the trials that workers of this launch have claimed."""
        owners = [(trial, trial.user_attrs.get("owner", {})) for trial in self._trials()]
        return {trial.number: trial.state for trial, owner in owners if owner.get("launch") == self.launch}

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        """All trials of the study, or those in some states, by number."""
        trials = self._index.trials()
        return [trial for trial in trials if trial.state in states] if states else trials
