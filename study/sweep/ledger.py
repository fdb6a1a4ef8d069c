"""The one shared book of a sweep: an Optuna study in which every run that is planned, going on or done is a trial.

Any number of processes and machines may write in it. Who wants to make a run puts it down as a WAITING trial and then
claims it, which is atomic. Two at once may put the same run down twice: the later trial then fails as surplus.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from study.sweep import owner
from study.sweep.plan import Cell, Plan

State = Literal["open", "running", "completed", "diverged", "pruned", "failed"]
MADE = ("completed", "diverged", "pruned")

GRACE = timedelta(seconds=60)
"""A trial whose owner died between claiming it and signing is given up after this."""
AHEAD = 16
"""A process takes one of the first so many open runs, at random, so that those which start at once do not collide."""
LOST = 3
"""A run whose process dies this often is taken to kill it: it counts as failed."""


class Standing(NamedTuple):
    """How one cell of the plan stands.

    Attributes:
        cell: of the plan.
        params: tuned values that are fixed for it: a confirmation's.
        state: `open` if it is still to be made.
        trial: the try that tells; None if it was never put down.
    """

    cell: Cell
    params: dict[str, Any]
    state: State
    trial: FrozenTrial | None

    @property
    def record(self) -> dict[str, Any]:
        """What was written down of it."""
        return self.trial.user_attrs if self.trial else {}


def cell_of(trial: FrozenTrial | Trial) -> Cell | None:
    """The cell that a trial is a try of; None for surplus trials and those of nobody's plan."""
    found = trial.user_attrs
    return Cell(**found["cell"]) if "cell" in found and "surplus" not in found else None


class Ledger:
    """A study read and written in the terms of a plan.

    Args:
        study: see `study.sweep.storage`.
        plan: other trials of the study are left alone.
    """

    def __init__(self, study: optuna.Study, plan: Plan):
        self.study, self.plan = study, plan
        self.storage: BaseStorage = study._storage

    def standings(self) -> list[Standing]:
        """Every cell that is known by now: all but the confirmations of searches that still go on."""
        tries: dict[str, list[FrozenTrial]] = defaultdict(list)
        for trial in self.study.get_trials(deepcopy=False):
            if (cell := cell_of(trial)) is not None and cell in self.plan:
                tries[cell.key].append(trial)
        found = [_stand(cell, {}, tries[cell.key]) for cell in self.plan.cells()]
        for arm in self.plan.arms if self.plan.search else ():
            winner = self._winner([standing for standing in found if standing.cell.arm == arm])
            if winner is not None:
                cells = self.plan.confirmation(arm, winner.number)
                found += [_stand(cell, winner.params, tries[cell.key]) for cell in cells]
        return found

    def counts(self) -> Counter[State]:
        """How many runs stand how; confirmations are open while the searches before them go on."""
        standings = self.standings()
        searching = {s.cell.arm for s in standings if s.cell.phase == "search" and s.state in ("open", "running")}
        counts = Counter(standing.state for standing in standings)
        counts["open"] += len(searching) * len(self.plan.seeds)
        return counts

    def retry(self) -> None:
        """Put the failed runs down once more."""
        for standing in self.standings():
            if standing.state == "failed":
                self._put_down(standing)

    def claim(self) -> Trial | None:
        """Take an open run of the plan for this process; None if there is none."""
        while True:
            for waiting in self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                cell = cell_of(waiting)
                if cell is not None and cell in self.plan and (trial := self._take(cell, waiting)):
                    return trial
            standings = [standing for standing in self.standings() if standing.state == "open"]
            if not standings:
                return None
            self._put_down(random.choice(standings[:AHEAD]))

    def _put_down(self, standing: Standing) -> None:
        """Make a waiting trial of a cell."""
        arm = self.plan.arms[standing.cell.arm]
        shown: dict[str, Any] = {"arm": arm.label, "phase": standing.cell.phase, "seed": standing.cell.seed}
        attributes = {"cell": asdict(standing.cell), **shown, **arm.values}
        self.study.enqueue_trial(standing.params, user_attrs=attributes)

    def _take(self, cell: Cell, waiting: FrozenTrial) -> Trial | None:
        """Claim a waiting trial; None if another process was first, or an earlier trial is of the same run."""
        if not self._set(waiting._trial_id, TrialState.RUNNING):
            return None
        trial = Trial(self.study, waiting._trial_id)
        self.sign(trial)
        if self._is_surplus(cell, trial.number):
            self.note(trial, {"surplus": True})
            self._set(trial._trial_id, TrialState.FAIL)
            return None
        return trial

    def sign(self, trial: Trial) -> None:
        """Say whose a trial is."""
        self.storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
        self.note(trial, {"owner": owner.me()})

    def finish(self, trial: Trial, value: float | None, record: Mapping[str, Any]) -> None:
        """Write down what came of a run; NaN counts as the worst there is, None as nothing to learn from."""
        worst = math.inf if self.study.direction == StudyDirection.MINIMIZE else -math.inf
        self.note(trial, record)
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        told = worst if value is not None and math.isnan(value) else value
        with suppress(UpdateFinishedTrialError, ValueError):  # given up by mistake: another try is under way
            self.study.tell(trial, told, state)

    def prune(self, trial: Trial) -> None:
        """End a trial that is not worth its time; Optuna takes its last interim value for its result."""
        self.note(trial, {"outcome": "pruned"})
        with suppress(UpdateFinishedTrialError, ValueError):
            self.study.tell(trial, state=TrialState.PRUNED)

    def running(self) -> set[int]:
        """Numbers of all trials of the study that are under way, the plan's or not."""
        return {t.number for t in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))}

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
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            signed = trial.user_attrs.get("owner")
            unsigned = trial.datetime_start is not None and datetime.now() - trial.datetime_start > GRACE
            if trial._trial_id in silent or (owner.is_dead(signed) if signed else unsigned):
                self._set(trial._trial_id, TrialState.FAIL)

    def _winner(self, search: list[Standing]) -> FrozenTrial | None:
        """The best trial of an arm's search once all of it is settled; None before, or if every trial failed."""
        if any(standing.state in ("open", "running") for standing in search):
            return None
        sign = 1 if self.study.direction == StudyDirection.MINIMIZE else -1
        complete = [t for _, _, _, t in search if t is not None and t.state == TrialState.COMPLETE]
        return min(complete, key=lambda trial: sign * trial.values[0], default=None)

    def _set(self, trial_id: int, state: TrialState) -> bool:
        """Change a trial's state; False if another process was first."""
        with suppress(UpdateFinishedTrialError):
            return self.storage.set_trial_state_values(trial_id, state)
        return False

    def _is_surplus(self, cell: Cell, number: int) -> bool:
        """Whether an earlier trial makes, or has made, the same run."""
        earlier = (t for t in self.study.get_trials(deepcopy=False) if t.number < number and cell_of(t) == cell)
        return any(_is_alive(trial) for trial in earlier)


def _is_alive(trial: FrozenTrial) -> bool:
    """Whether a try counts: it waits, runs, or came to an end that is a result."""
    return trial.state != TrialState.FAIL or trial.user_attrs.get("outcome") in MADE


def _stand(cell: Cell, params: dict[str, Any], tries: list[FrozenTrial]) -> Standing:
    """Judge a cell by its tries: the first that counts, else the last."""
    trial = next(filter(_is_alive, tries), tries[-1] if tries else None)
    if trial is None or trial.state == TrialState.WAITING:
        return Standing(cell, params, "open", trial)
    if trial.state == TrialState.RUNNING:
        return Standing(cell, params, "running", trial)
    if _is_alive(trial):
        return Standing(cell, params, trial.user_attrs["outcome"], trial)
    lost = sum("error" not in t.user_attrs and "interrupted" not in t.user_attrs for t in tries)
    return Standing(cell, params, "failed" if "error" in trial.user_attrs or lost >= LOST else "open", trial)
