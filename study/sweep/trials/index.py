"""The trials of a study by cell, kept up to date by those that changed: no claim looks at every finished trial."""

from collections import defaultdict
from collections.abc import Collection
from threading import Lock

import optuna
from optuna.trial import FrozenTrial

from study.sweep.planning.plan import Plan, PlannedCell
from study.sweep.trials.optuna_private import ChangedTrials
from study.sweep.trials.status import CellStatus, cell_of, judge, with_confirmations


class TrialIndex:
    """The trials of every cell, and the states of a plan's cells, as they were at the last `read`.

    Args:
        study: to be read.
        plan: trials of other plans have no status.
        sign: 1 where less is better, -1 where more is.
        gone: MLflow runs that were made once and are there no more.

    Attributes:
        trials: all trials of the study, by number.
        unfinished: those that are waiting or running.
    """

    def __init__(self, study: optuna.Study, plan: Plan, sign: int, gone: Collection[str] = ()):
        self.plan, self.sign, self.gone = plan, sign, gone
        self.trials: list[FrozenTrial] = []
        self.unfinished: list[FrozenTrial] = []
        self._changes, self._reading = ChangedTrials(study), Lock()
        self._by_cell: dict[str, dict[int, FrozenTrial]] = defaultdict(dict)
        self._statuses = {cell.key: judge(cell, {}, [], gone) for cell in plan.cells()}

    def read(self) -> None:
        """Read what changed, and judge the cells of it; threads may share an index."""
        with self._reading:
            changed = self._changes.read()
            self.unfinished = [trial for trial in changed if not trial.state.is_finished()]
            for key in {key for trial in changed for key in self._put(trial)}:
                if key in self._statuses:
                    self._statuses[key] = judge(self._statuses[key].cell, {}, self._of(key), self.gone)

    def of(self, cell: PlannedCell | None) -> list[FrozenTrial]:
        """The trials of a cell, of whatever plan, by number."""
        return self._of(cell.key) if cell is not None else []

    def statuses(self) -> list[CellStatus]:
        """The state of every cell known by now: of all but the confirmations of searches that are not over."""
        found = list(self._statuses.values())
        return with_confirmations(self.plan, found, self._of, self.sign, self.gone) if self.plan.search else found

    def _of(self, key: str) -> list[FrozenTrial]:
        found = self._by_cell.get(key, {})
        return [found[number] for number in sorted(found)]

    def _put(self, trial: FrozenTrial) -> list[str]:
        """Put a trial under its cell, and no longer where it was: surplus trials have no cell. Returns both keys."""
        before = self.trials[trial.number] if trial.number < len(self.trials) else None
        self.trials[trial.number : trial.number + 1] = [trial]
        old, new = (cell_of(t) if t is not None else None for t in (before, trial))
        if old is not None:
            self._by_cell[old.key].pop(trial.number, None)
        if new is not None:
            self._by_cell[new.key][trial.number] = trial
        return [cell.key for cell in (old, new) if cell is not None]
