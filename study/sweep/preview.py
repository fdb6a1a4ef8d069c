"""A dry run: the plan, what of it is made, and what the rest takes. Nothing is written."""

from collections import Counter
from collections.abc import Callable

from study.schema import SweepingConfig
from study.sweep.planning.plan import Plan
from study.terminal import printer


def preview(common: SweepingConfig, plan: Plan, workers: Callable[[int], int]) -> None:
    """Print what is made of a plan, and an estimate for the runs that are left.

    Args:
        common: what is one for all runs.
        plan: of the sweep.
        workers: number of workers for a number of runs.
    """
    printer().keep(plan=plan.record)
    plan, made = _made(common, plan)
    total = plan.runs // len(plan.arms)
    left = {digest: total - made[digest] for digest in plan.arms if made[digest] < total}
    if made:
        print(f"made: {made.total()}\nleft: {sum(left.values())}")
    printer().keep(made=made.total())
    if left:
        from study.sweep.planning.estimate import estimate

        found = estimate(plan, left, workers(sum(left.values())))
        printer().keep(estimated=found.record)
        print(found)


def _made(common: SweepingConfig, plan: Plan) -> tuple[Plan, Counter[str]]:
    """The plan with its arms as the study knows them, and the number of runs that are made of each."""
    from study.sweep.trials.changes import adopt_digests
    from study.sweep.trials.ledger import Ledger
    from study.sweep.trials.status import MADE
    from study.sweep.trials.storage import existing_study

    with existing_study(common.sweep.storage, common.slug) as study:
        if study is None:
            return plan, Counter[str]()
        plan = adopt_digests(study, plan)
        ledger = Ledger(study, plan, gone=_gone(common, Ledger(study, plan).recorded()))
        runs = Counter[str]()
        for status in ledger.statuses():
            if status.state in MADE:
                runs[status.cell.arm] += len(plan.seeds_of(status.cell))
        return plan, runs


def _gone(common: SweepingConfig, recorded: set[str]) -> frozenset[str]:
    """The runs that were deleted from the store: they would be made again."""
    if not recorded:
        return frozenset()
    from study.tracking import writer
    from study.tracking.database import sqlite_file

    if (file := sqlite_file(common.tracking.uri)) is not None and not file.is_file():
        return frozenset(recorded)  # to ask MLflow would create it
    return writer.missing(common.tracking.uri, common.slug, recorded)
