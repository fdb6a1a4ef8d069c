"""A dry run: the plan, what of it is made, and what the rest takes. Nothing is written."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import timedelta
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from study.addresses import sqlite_file
from study.schema import SweepingConfig
from study.sweep.planning.plan import Plan
from study.terminal import printer

if TYPE_CHECKING:
    from study.sweep.trials.status import CellStatus


class Expected(NamedTuple):
    """What the runs that are left take, if they take as long as those that are made.

    Attributes:
        left: number of runs, by the name of their arm.
        took: seconds of a run that is made, in the mean, by the name of its arm.
        workers: who make them.
    """

    left: Mapping[str, int]
    took: Mapping[str, float]
    workers: int

    @property
    def seconds(self) -> float | None:
        """That all of them take; None while an arm has no run yet."""
        if not self.took.keys() >= self.left.keys():
            return None
        return sum(self.took[name] * runs for name, runs in self.left.items()) / self.workers

    @property
    def record(self) -> dict[str, Any]:
        """The same in plain values."""
        runs = sum(self.left.values())
        return {"runs": runs, "workers": self.workers, "seconds": self.seconds, "took": dict(self.took)}

    def __str__(self) -> str:
        """A line."""
        if self.seconds is not None:
            whole = timedelta(seconds=round(self.seconds))
            return f"time: about {whole} (workers: {self.workers}), if they take as long as the runs already made"
        new = len(self.left.keys() - self.took.keys())
        why = f"arms without a run: {new} of {len(self.left)}" if self.took else "no run is made yet"
        timed = "sweep.dry_run=timed reads the data and times updates of every arm"
        return f"time: not known (workers: {self.workers}), {why}; {timed}"


def preview(common: SweepingConfig, plan: Plan, workers: Callable[[int], int]) -> None:
    """Print what is made of a plan, and what the runs that are left take.

    Args:
        common: what is one for all runs.
        plan: of the sweep.
        workers: number of workers for a number of runs.
    """
    printer().keep(plan=plan.record)
    plan, made = _made(common, plan)
    total, done = plan.runs // len(plan.arms), sum(map(len, made.values()))
    left = {arm: total - len(made.get(arm, ())) for arm in plan.arms if len(made.get(arm, ())) < total}
    if done:
        print(f"made: {done}\nleft: {sum(left.values())}")
    printer().keep(made=done)
    if left:
        found = _expected(common, plan, made, left, workers(sum(left.values())))
        printer().keep(estimated=found.record)
        print(found)


def _expected(
    common: SweepingConfig, plan: Plan, made: Mapping[str, list[float]], left: Mapping[str, int], workers: int
) -> Any:
    """What the runs that are left take: from what is made of their arms, or timed."""
    if common.sweep.dry_run == "timed":
        from study.sweep.planning.estimate import estimate  # late: torch takes seconds

        return estimate(plan, left, workers)
    took = {plan.names[arm]: fmean(seconds) for arm, seconds in made.items()}
    return Expected({plan.names[arm]: runs for arm, runs in left.items()}, took, workers)


def _made(common: SweepingConfig, plan: Plan) -> tuple[Plan, dict[str, list[float]]]:
    """The plan with its arms as the study knows them, and the seconds of every run that is made, by arm."""
    if (file := sqlite_file(common.sweep.storage)) is not None and not file.is_file():
        return plan, {}  # nothing is created
    from study.sweep.trials.changes import adopt_digests  # late: SQLAlchemy takes its time
    from study.sweep.trials.ledger import Ledger
    from study.sweep.trials.status import MADE
    from study.sweep.trials.storage import existing_study

    with existing_study(common.sweep.storage, common.slug) as study:
        if study is None:
            return plan, {}
        plan = adopt_digests(study, plan)
        ledger = Ledger(study, plan, gone=_gone(common, Ledger(study, plan).recorded()))
        seconds: dict[str, list[float]] = defaultdict(list)
        for status in ledger.statuses():
            if status.state in MADE:
                seconds[status.cell.arm] += _seconds(status, len(plan.seeds_of(status.cell)))
        return plan, seconds


def _seconds(status: "CellStatus", runs: int) -> list[float]:
    """Of every run of a finished trial, also those before it was interrupted."""
    trial = status.trial
    assert trial is not None
    assert trial.duration is not None
    return [max(trial.duration.total_seconds(), trial.user_attrs.get("seconds", 0.0)) / runs] * runs


def _gone(common: SweepingConfig, recorded: set[str]) -> frozenset[str]:
    """The runs that were deleted from the store: they would be made again."""
    if not recorded:
        return frozenset()
    from study.tracking import sweeps

    if (file := sqlite_file(common.tracking.uri)) is not None and not file.is_file():
        return frozenset(recorded)  # to ask MLflow would create it
    return sweeps.missing(common.tracking.uri, common.slug, recorded)
