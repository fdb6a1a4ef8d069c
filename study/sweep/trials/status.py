"""How the runs of a plan stand: each judged by its tries, the trials that were put down for it."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from optuna.trial import FrozenTrial, Trial, TrialState

from study.sweep.planning.plan import Cell, Plan

State = Literal["open", "running", "completed", "diverged", "pruned", "failed"]
MADE = ("completed", "diverged", "pruned")

LOST = 3
"""A run whose process dies this often is taken to kill it: it counts as failed."""


class CellStatus(NamedTuple):
    """How one cell of the plan stands.

    Attributes:
        cell: of the plan.
        params: tuned values that are fixed for it: a confirmation's, and those of a try that was interrupted.
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

    @property
    def value(self) -> float:
        """What it was told to be worth; while it trains, the last interim value; NaN before."""
        if self.trial is None:
            return math.nan
        if self.trial.state == TrialState.COMPLETE:
            return self.trial.values[0]
        interim = self.trial.intermediate_values
        return interim[max(interim)] if interim else math.nan


def cell_of(trial: FrozenTrial | Trial) -> Cell | None:
    """The cell that a trial is a try of; None for surplus trials and those of nobody's plan."""
    found = trial.user_attrs
    return Cell(**found["cell"]) if "cell" in found and "surplus" not in found else None


def cell_statuses(plan: Plan, trials: Iterable[FrozenTrial], sign: int) -> list[CellStatus]:
    """Every cell that is known by now: all but the confirmations of searches that still go on.

    Args:
        plan: other trials are left alone.
        trials: of the study, by number.
        sign: 1 where less is better, -1 where more is.
    """
    tries: dict[str, list[FrozenTrial]] = defaultdict(list)
    for trial in trials:
        if (cell := cell_of(trial)) is not None and cell in plan:
            tries[cell.key].append(trial)
    found = [_status(cell, {}, tries[cell.key]) for cell in plan.cells()]
    for arm in plan.arms if plan.search else ():
        search = [status for status in found if status.cell.arm == arm]
        if not searching(search) and (winner := best(search, sign)) is not None and winner.trial:
            cells = plan.confirmation(arm, winner.trial.number)
            found += [_status(cell, winner.trial.params, tries[cell.key]) for cell in cells]
    return found


def count(plan: Plan, statuses: Sequence[CellStatus]) -> Counter[State]:
    """How many runs stand how; confirmations are open while the searches before them go on."""
    counts = Counter(status.state for status in statuses)
    counts["open"] += len(plan.seeds) * len({status.cell.arm for status in statuses if searching([status])})
    return counts


def searching(statuses: Iterable[CellStatus]) -> bool:
    """Whether a search trial among them is still to be made or under way."""
    return any(s.cell.phase == "search" and s.state in ("open", "running") for s in statuses)


def best(statuses: Iterable[CellStatus], sign: int) -> CellStatus | None:
    """The one whose objective is best; None if every one failed or was pruned."""
    complete = [s for s in statuses if s.trial is not None and s.trial.state == TrialState.COMPLETE]
    return min(complete, key=lambda status: sign * status.value, default=None)


def is_alive(trial: FrozenTrial) -> bool:
    """Whether a try counts: it waits, runs, or came to an end that is a result (a divergence may be told as FAIL).

    One whose process died after its record was written, but before the study was told, is made again.
    """
    return trial.state != TrialState.FAIL or trial.user_attrs.get("outcome") == "diverged"


def _status(cell: Cell, params: dict[str, Any], tries: list[FrozenTrial]) -> CellStatus:
    """Judge a cell by its tries: the first that counts, else the last."""
    trial = next(filter(is_alive, tries), tries[-1] if tries else None)
    if trial is None or trial.state == TrialState.WAITING:
        return CellStatus(cell, params, "open", trial)
    if trial.state == TrialState.RUNNING:
        return CellStatus(cell, params, "running", trial)
    if is_alive(trial):
        return CellStatus(cell, params, trial.user_attrs["outcome"], trial)
    lost = sum("error" not in t.user_attrs and "interrupted" not in t.user_attrs for t in tries)
    failed = "error" in trial.user_attrs or lost >= LOST
    return CellStatus(cell, params or trial.params, "failed" if failed else "open", trial)
