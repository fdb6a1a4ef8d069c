"""From one command to many runs: plan, prepare the stores, launch workers once, watch, tell what came of it."""

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from study.errors import ConfigError
from study.schema import Sweeping, check
from study.sweep.plan import Composer, Plan, draw_up

if TYPE_CHECKING:
    from study.sweep.ledger import Ledger
    from study.sweep.storage import Direction


def sweep(context: HydraContext, master: DictConfig, arguments: Sequence[str]) -> None:
    """Make every run of the plan that is not made yet.

    Raises:
        ConfigError: before anything is logged or launched.
        KeyboardInterrupt: when all workers have left after a Ctrl-C.
        SystemExit: code 1 if a run failed or is missing at the end.
    """
    common = check(OmegaConf.masked_copy(master, list(Sweeping.model_fields)), Sweeping)
    plan = draw_up(common.sweep, arguments, Composer(context.config_loader, master))
    direction = find_direction(plan)
    from study import tracking
    from study.sweep import definition
    from study.sweep.ledger import Ledger
    from study.sweep.pruning import build_pruner
    from study.sweep.storage import open_study
    from study.sweep.worker import Worker

    build_pruner(common.sweep.pruner)
    if common.sweep.dry_run:
        return print(plan.describe())
    tracking.prepare(common.tracking.uri, common.slug)
    ledger = Ledger(open_study(common.sweep.storage, common.slug, direction), plan)
    if master.hydra.runtime.choices.get("experiment") and common.sweep.changed == "refuse":
        definition.refuse_changes(ledger)
    definition.keep(ledger)
    folder = Path(str(master.hydra.sweep.dir)).absolute()
    with _parent(common, ledger) as parent:
        ledger.reap()
        ledger.retry()
        worker = Worker(context.config_loader, master, common, plan, parent, folder)
        launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=worker, config=master)
        _launch(launcher, common, ledger)
    _tell(common, ledger)


def find_direction(plan: Plan) -> "Direction":
    """Whether less or more is better; the arms of a search must agree, those of a grid need not.

    Raises:
        ConfigError: if they do not agree.
    """
    from study.tasks import TASKS

    tasks: dict[str, Any] = {arm.config.task.name: TASKS[arm.config.task.name] for arm in plan.arms.values()}
    found = {name: getattr(task, "func", task).direction for name, task in tasks.items()}
    if plan.search and len(set(found.values())) > 1:
        told = ", ".join(f"{task}: {direction}" for task, direction in found.items())
        raise ConfigError(f"sweep.search: one search cannot serve tasks of both directions ({told}); make two sweeps")
    return next(iter(found.values()))


def count_workers(asked: int | None, runs: int) -> int:
    """How many workers: as many as asked or one a core, never more than runs."""
    cores = psutil.cpu_count(logical=False) or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    return min(asked or cores, runs)


def _launch(launcher: Launcher, common: Sweeping, ledger: "Ledger") -> None:
    """All workers at once, watched until they have left. How their processes ended says nothing: the ledger does."""
    from study.sweep.live import Live

    waiting = ledger.counts()["open"]
    if waiting:
        with Live(ledger):
            launcher.launch([[]] * count_workers(common.sweep.workers, waiting), initial_job_idx=0)


@contextmanager
def _parent(common: Sweeping, ledger: "Ledger") -> Iterator[str]:
    """The MLflow run that the sweep's runs are nested under, the same for every command; its status is the sweep's."""
    from study import tracking

    uri, status = common.tracking.uri, "FAILED"
    known = ledger.study.user_attrs.get(PARENT)
    parent = tracking.open_parent(uri, common.slug, ledger.plan.describe(), known)
    ledger.study.set_user_attr(PARENT, parent)
    try:
        yield parent
        status = "FAILED" if ledger.counts()["open"] else "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        _tell_how_to_continue(ledger)
        raise
    finally:
        tracking.end_lost(uri, common.slug, ledger.running())
        tracking.close_parent(uri, parent, status, dict(ledger.counts()))


PARENT = "mlflow_parent_run"
"""The study's attribute that names the MLflow run of the sweep."""


def _tell_how_to_continue(ledger: "Ledger") -> None:
    counts = ledger.counts()
    command = shlex.join([sys.executable, "-m", "study.train", *sys.argv[1:]])
    print(f"Interrupted: {counts['open']} of {counts.total()} runs are still to be made. This makes them:\n  {command}")


def _tell(common: Sweeping, ledger: "Ledger") -> None:
    """The table, what failed, where the results are; exit code 1 if anything is missing."""
    from study.sweep.summary import failures, table

    console = Console(width=None if sys.stdout.isatty() else 120)
    failed, missing = failures(ledger), ledger.counts()["open"]
    console.print(table(ledger))
    lines = [*failed, *([f"{missing} runs were not made; the same command makes them."] if missing else [])]
    for told in lines:
        console.print(told, style="red", markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"Results: MLflow experiment {common.slug!r} in {common.tracking.uri}. Type `make ui` to browse them, "
        f"`make report EXPERIMENT={common.slug}` for one page.",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
    if lines:
        sys.exit(1)
