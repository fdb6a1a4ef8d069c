"""The shared record of a sweep: an Optuna study in which every run, once it is under way, has a trial.

Any number of processes and machines may use it at once. A process that wants to make a run adds a RUNNING trial of its
cell, or takes a WAITING one, which `retry` made. Two processes may do so for one cell at the same time: the later trial
then fails as surplus.
"""

import math
import random
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar, cast

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
Choice = TypeVar("Choice")

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
        self._index.read()
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
                self.study.enqueue_trial(
                    status.params, user_attrs={"cell": asdict(status.cell), **self._described(status.cell)}
                )

    def claim(self) -> Trial | None:
        """Take an open run of the plan for this process; None if there is none."""
        while True:
            self._index.read()
            waiting = [trial for trial in self._index.unfinished if self._is_to_be_taken(trial)]
            opened = [] if waiting else [status for status in self._index.statuses() if status.state == "open"]
            if not waiting and not opened:
                return None
            trial = (
                self._take(random.choice(waiting[:AHEAD])) if waiting else self._begin(random.choice(opened[:AHEAD]))
            )
            if trial is not None and not self._is_surplus(trial):
                return trial

    def _is_to_be_taken(self, trial: FrozenTrial) -> bool:
        cell = cell_of(trial) if trial.state == TrialState.WAITING else None
        return cell is not None and cell in self.plan

    def _described(self, cell: PlannedCell) -> dict[str, Any]:
        """Attributes of a trial, for whoever looks at the study."""
        arm = self.plan.arms[cell.arm]
        return {"arm": arm.label, "phase": cell.phase, "seed": cell.seed, **arm.values}

    def _signature(self) -> dict[str, Any]:
        return {"owner": {**process.current(), "launch": self.launch}}

    def _begin(self, status: CellStatus) -> Trial | None:
        """Make a running trial of a cell; None if it was given up before it was signed."""
        trial = optuna_private.begin(self.study, status.params, {"cell": asdict(status.cell)})
        return trial if self.note(trial, {**self._described(status.cell), **self._signature()}) else None

    def _take(self, waiting: FrozenTrial) -> Trial | None:
        """Claim a waiting trial; None if another process was first.

        None also if it was given up before it was signed: this process was suspended, or its clock was set.
        """
        trial = optuna_private.claim(self.study, waiting)
        return trial if trial is not None and self.note(trial, self._signature()) else None

    def _is_surplus(self, trial: Trial) -> bool:
        """Whether an earlier trial makes, or has made, the same run; if so, the trial fails."""
        self._index.read()
        earlier = self._earlier(trial)
        surplus = any(counts_as_made(one, self.gone) for one in earlier)
        if surplus:
            self.note(trial, {"surplus": True})
            optuna_private.set_state(self.study, trial, TrialState.FAIL)
        return surplus

    def _earlier(self, trial: Trial) -> list[FrozenTrial]:
        """The earlier ones of the cell of a trial that was claimed."""
        cell = cell_of(self._index.trials[trial.number])
        return [one for one in self._index.of(cell) if one.number < trial.number]

    def interrupted(self, trial: Trial) -> Mapping[str, Any]:
        """The attributes of the trial to resume: the cell's last, if it had the same values and its process is gone.

        One that was killed before it had a run is passed over: the run of the one before is still to be resumed.
        """
        params = trial.params
        started = [t for t in self._earlier(trial) if {"run_id", "error"} & set(t.user_attrs)]
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
        return optuna_private.note(self.study, trial, record)

    def holds(self, trial: Trial) -> bool:
        """Whether a trial of this process is still its own: not given up by another one."""
        return optuna_private.is_running(self.study, trial)

    def running(self) -> list[FrozenTrial]:
        """All running trials of the study, of this plan or of others."""
        self._index.read()
        return [trial for trial in self._index.unfinished if trial.state == TrialState.RUNNING]

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
        optuna_private.leave_word(self.study, f"order {self.launch}", order)

    def ordered(self) -> Order | None:
        """The order to this launch; None if there is none."""
        return cast(Order | None, optuna_private.word(self.study, f"order {self.launch}"))

    def give_up(self, error: Trouble) -> None:
        """Order every worker of this launch to stop, as something failed that all of them need."""
        optuna_private.leave_word(self.study, f"trouble {self.launch}", error.what)
        self.order("stop")

    def given_up(self) -> Trouble | None:
        """Why a worker of this launch has given up; None if none has."""
        found = optuna_private.word(self.study, f"trouble {self.launch}")
        return Trouble(found) if found else None

    def claimed(self) -> dict[int, TrialState]:
        """Number and state of the trials that workers of this launch have claimed."""
        owners = [(trial, trial.user_attrs.get("owner", {})) for trial in self._trials()]
        return {trial.number: trial.state for trial, owner in owners if owner.get("launch") == self.launch}

    def _trials(self) -> list[FrozenTrial]:
        """All trials of the study, by number."""
        self._index.read()
        return self._index.trials
