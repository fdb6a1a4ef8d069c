"""The state of every cell of a plan, judged by the trials of the cell."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Literal, NamedTuple

from optuna.trial import FrozenTrial, Trial, TrialState

from study.sweep.planning.plan import Plan, PlannedCell
from study.tracking.outcomes import FINISHED

State = Literal["open", "running", "completed", "diverged", "pruned", "failed"]
MADE: tuple[State, ...] = ("completed", "diverged", "pruned")

LOST = 3
"""A run whose process died so often counts as failed: it seems to kill its process."""


class CellStatus(NamedTuple):
    """The state of one cell.

    Attributes:
        cell: of the plan.
        params: values of tuned keys that are fixed for it: of a confirmation, and of an interrupted trial.
        state: `open` if the run is still to be made; `completed` with every outcome that has a measure.
        trial: of the cell, the one that decides the state; None if there is none yet.
    """

    cell: PlannedCell
    params: dict[str, Any]
    state: State
    trial: FrozenTrial | None

    @property
    def record(self) -> dict[str, Any]:
        """The attributes of its trial."""
        return self.trial.user_attrs if self.trial else {}

    @property
    def value(self) -> float:
        """Its objective; while it trains, the last interim value; NaN before."""
        if self.trial is None:
            return math.nan
        if self.trial.state == TrialState.COMPLETE:
            return self.trial.values[0]
        interim = self.trial.intermediate_values
        return interim[max(interim)] if interim else math.nan


def cell_of(trial: FrozenTrial | Trial) -> PlannedCell | None:
    """The cell that a trial belongs to; None for surplus trials and those that no plan asked for."""
    found = trial.user_attrs
    return PlannedCell(**found["cell"]) if "cell" in found and "surplus" not in found else None


def with_confirmations(
    plan: Plan,
    found: Sequence[CellStatus],
    trials_of: Callable[[str], list[FrozenTrial]],
    sign: int,
    gone: Collection[str] = (),
) -> list[CellStatus]:
    """Add the confirmations of the searches that are over; linear in the cells of all searches.

    Args:
        plan: of searches.
        found: the states of their cells.
        trials_of: the trials of a cell by its key, by number.
        sign: 1 where less is better, -1 where more is.
        gone: MLflow runs that were made once and are there no more.
    """
    searches: dict[str, list[CellStatus]] = {arm: [] for arm in plan.arms}
    for status in found:
        searches[status.cell.arm].append(status)
    added: list[CellStatus] = []
    for arm, search in searches.items():
        if not searching(search) and (winner := best(search, sign)) is not None and winner.trial:
            # A trial whose run was deleted and made again has two numbers; confirmations go by the first.
            same = trials_of(winner.cell.key)
            number = min(trial.number for trial in same if trial.state == TrialState.COMPLETE)
            cells = plan.confirmation(arm, number)
            added += [judge(cell, winner.trial.params, trials_of(cell.key), gone) for cell in cells]
    return [*found, *added]


def count(plan: Plan, statuses: Sequence[CellStatus]) -> Counter[State]:
    """Number of runs by state; confirmations count as open while the searches before them are not over."""
    counts = Counter(status.state for status in statuses)
    searched = {status.cell.arm for status in statuses if searching([status])} if plan.search else ()
    counts["open"] += len(plan.seeds) * len(searched)
    return counts


def searching(statuses: Iterable[CellStatus]) -> bool:
    """Whether one of the cells is a search trial that is open or running."""
    return any(s.cell.phase == "search" and s.state in ("open", "running") for s in statuses)


def best(statuses: Iterable[CellStatus], sign: int) -> CellStatus | None:
    """The cell with the best objective; None if all failed or were pruned."""
    complete = [s for s in statuses if s.trial is not None and s.trial.state == TrialState.COMPLETE]
    return min(complete, key=lambda status: sign * status.value, default=None)


def counts_as_made(trial: FrozenTrial, gone: Collection[str] = ()) -> bool:
    """Whether a trial makes its run, or has made it, so that no other needs to.

    A diverged run is a result, though its trial may be FAIL. A run whose process died after it wrote its record, but
    before the study knew, is made again; so is one that is `gone`: results are what the store of runs has.
    """
    if trial.state.is_finished() and trial.user_attrs.get("run_id") in gone:
        return False
    return trial.state != TrialState.FAIL or trial.user_attrs.get("outcome") == "diverged"


def judge(cell: PlannedCell, params: dict[str, Any], trials: list[FrozenTrial], gone: Collection[str]) -> CellStatus:
    """Judge a cell by the first of its trials that makes the run, else by the last."""
    trial = next((t for t in trials if counts_as_made(t, gone)), trials[-1] if trials else None)
    if trial is None or trial.state == TrialState.WAITING:
        return CellStatus(cell, params, "open", trial)
    if trial.state == TrialState.RUNNING:
        return CellStatus(cell, params, "running", trial)
    if counts_as_made(trial, gone):
        outcome = trial.user_attrs["outcome"]
        return CellStatus(cell, params, "completed" if outcome in FINISHED else outcome, trial)
    # A trial that was killed before it had all its values has fewer than the one that it was to make again.
    params = params or max((t.params for t in trials), key=len)
    if trial.user_attrs.get("run_id") in gone:
        return CellStatus(cell, params, "open", trial)
    lost = sum("error" not in t.user_attrs and "interrupted" not in t.user_attrs for t in trials)
    failed = "error" in trial.user_attrs or lost >= LOST
    return CellStatus(cell, params, "failed" if failed else "open", trial)
