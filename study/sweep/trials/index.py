"""The trials of a study by cell, kept up to date by those that changed: no claim looks at every finished trial."""

from collections import defaultdict
from collections.abc import Collection
from itertools import zip_longest

import optuna
from optuna.trial import FrozenTrial

from study.sweep.planning.plan import Plan, PlannedCell
from study.sweep.trials.status import CellStatus, cell_of, judge, with_confirmations


class TrialIndex:
    """The trials of every cell, and the states of a plan's cells.

    Optuna's cache holds a finished trial as one object and reads only the others from the storage: what is not the same
    object as at the last look is new or may have changed. That comparison is all that is done for every trial.

    Args:
        study: looked at anew by `trials` and `statuses`.
        plan: trials of other plans have no status.
        sign: 1 where less is better, -1 where more is.
        gone: MLflow runs that were made once and are there no more.
    """

    def __init__(self, study: optuna.Study, plan: Plan, sign: int, gone: Collection[str] = ()):
        self.study, self.plan, self.sign, self.gone = study, plan, sign, gone
        self._known: list[FrozenTrial] = []
        self._by_cell: dict[str, dict[int, FrozenTrial]] = defaultdict(dict)
        self._statuses = {cell.key: judge(cell, {}, [], gone) for cell in plan.cells()}

    def trials(self) -> list[FrozenTrial]:
        """All trials of the study, by number."""
        now = self.study.get_trials(deepcopy=False)
        changed = [pair for pair in zip_longest(self._known, now) if pair[0] is not pair[1]]
        self._known = now
        for key in {key for before, trial in changed for key in self._move(before, trial)}:
            if key in self._statuses:
                self._statuses[key] = judge(self._statuses[key].cell, {}, self._of(key), self.gone)
        return now

    def of(self, cell: PlannedCell | None) -> list[FrozenTrial]:
        """The trials of a cell, of whatever plan, by number."""
        self.trials()
        return self._of(cell.key) if cell is not None else []

    def statuses(self) -> list[CellStatus]:
        """The state of every cell known by now: of all but the confirmations of searches that are not over."""
        self.trials()
        found = list(self._statuses.values())
        return with_confirmations(self.plan, found, self._of, self.sign, self.gone) if self.plan.search else found

    def _of(self, key: str) -> list[FrozenTrial]:
        found = self._by_cell.get(key, {})
        return [found[number] for number in sorted(found)]

    def _move(self, before: FrozenTrial | None, trial: FrozenTrial) -> list[str]:
        """Put a trial under its cell, and no longer where it was: surplus trials have no cell. Returns both keys."""
        old, new = (cell_of(t) if t is not None else None for t in (before, trial))
        if before is not None and old is not None:
            self._by_cell[old.key].pop(before.number, None)
        if new is not None:
            self._by_cell[new.key][trial.number] = trial
        return [cell.key for cell in (old, new) if cell is not None]
