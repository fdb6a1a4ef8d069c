"""One command, many runs: plan them, prepare the stores, launch workers, display, report."""

import os
import shlex
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from study.addresses import sqlite_file
from study.data.files import refuse_missing
from study.disk import refuse_unwritable, writing
from study.errors import ConfigError, Trouble
from study.schema import SweepingConfig, check
from study.schema.defaults import listed
from study.schema.sweep import SweepConfig
from study.sweep.planning.build import build_plan
from study.sweep.planning.composer import Composer
from study.sweep.planning.objective import find_direction
from study.sweep.planning.plan import Plan
from study.sweep.preview import preview
from study.terminal import clean, printer, say

if TYPE_CHECKING:
    from optuna import Study

    from study.sweep.trials.ledger import Ledger


def sweep(context: HydraContext, master: DictConfig, arguments: Sequence[str]) -> None:
    """Make every run of the plan that is not made yet.

    Raises:
        ConfigError: before anything is logged or launched.
        KeyboardInterrupt: after a Ctrl-C, when all workers have ended.
        SystemExit: code 1 if a run failed or is missing at the end.
    """
    common = check(OmegaConf.masked_copy(master, list(SweepingConfig.model_fields)), SweepingConfig)
    composer = Composer(context.config_loader, master)
    plan = build_plan(common.sweep, arguments, composer)
    for arm in plan.arms.values():
        refuse_missing(arm.config)
    _refuse_launcher(master)
    for sentence in (*plan.describe_twins(), *plan.describe_readings()):
        say(sentence)
    if common.sweep.dry_run:
        print(plan.describe(), end="", flush=True)  # before what takes seconds
    _refuse_strategies(common.sweep)
    direction = find_direction(common.sweep, plan)
    if common.sweep.dry_run:
        return preview(common, plan, partial(count_workers, common.sweep.workers))
    from study.sweep.trials.changes import match
    from study.sweep.trials.storage import open_study

    file = sqlite_file(common.sweep.storage)
    new = file if file is not None and not file.exists() else None
    if new:  # else there may be no run left to make
        _prepare_launcher(master)
    refuse_unwritable(Path(str(master.hydra.sweep.dir)))
    storing = writing(common.sweep.storage, common.tracking.uri)
    with storing, open_study(common.sweep.storage, common.slug, direction) as study:
        _prepare_store(common, study, new)
        if plan.search and study.direction.name.lower() != direction:
            raise ConfigError(f"slug = {common.slug!r}: this study has another direction; choose another slug")
        refusing = bool(master.hydra.runtime.choices.get("experiment")) and common.sweep.changed == "refuse"
        plan = match(study, plan, refusing)
        _make_runs(context, master, common, plan, study, composer.within(plan.fixed))


def _refuse_strategies(asked: SweepConfig) -> None:
    """Refuse a pruner or sampler that Optuna does not know; those of `conf/` it does, and importing it takes time."""
    usual = listed("sweep")
    if asked.pruner != usual["pruner"]:
        from study.sweep.trials.pruner import build_pruner

        build_pruner(asked.pruner)
    if asked.sampler != usual["sampler"] or asked.trials != usual["trials"]:
        from study.sweep.trials.sampler import build_sampler

        build_sampler(asked.sampler, asked.trials, seed=0)


def _prepare_store(common: SweepingConfig, study: "Study", new: Path | None) -> None:
    """Make the store of runs ready; where it cannot be used, remove the study's file, if it is `new` and empty.

    Raises:
        ConfigError: it cannot be used.
    """
    from study.tracking import store

    try:
        store.prepare(common.tracking.uri, common.slug)
    except ConfigError:
        if new is not None and not study.get_trials(deepcopy=False):
            new.unlink(missing_ok=True)
        raise


def _make_runs(
    context: HydraContext,
    master: DictConfig,
    common: SweepingConfig,
    plan: Plan,
    study: "Study",
    composer: Composer,
) -> None:
    """Launch workers until every run is made, then summarize."""
    from study.sweep.trials.ledger import Ledger
    from study.sweep.workers.launcher import run_workers
    from study.sweep.workers.worker import Worker
    from study.tracking import sweeps
    from study.tracking.changes import changes

    gone = sweeps.missing(common.tracking.uri, common.slug, Ledger(study, plan).recorded())
    if gone:
        print(f"{len(gone)} of the runs of this study are no longer in {common.tracking.uri} and will be made again.")
    if not study.get_trials(deepcopy=False) and sweeps.has_made(common.tracking.uri, common.slug):
        say(
            f"{common.sweep.storage} knows no run of this study, but {common.tracking.uri} has some: all that are "
            "planned are made, and where there are two of one, reports count the newer."
        )
    for warning in changes().warnings:
        print(warning)
    ledger = Ledger(study, plan, uuid.uuid4().hex[:12], gone)
    folder = Path(str(master.hydra.sweep.dir)).absolute()
    with _parent_run(common, ledger) as parent:
        ledger.reap()
        ledger.retry()
        worker = Worker(composer, common, plan, parent, folder, ledger.launch, gone)
        launcher = Plugins.instance().instantiate_launcher(hydra_context=context, task_function=worker, config=master)
        workers = partial(count_workers, common.sweep.workers)
        problem = run_workers(launcher, ledger, workers, common.sweep.failures)
    _summarize(common, ledger, folder / "report", problem)


def _prepare_launcher(master: DictConfig) -> None:
    """Let the launcher begin with what takes time before its first job, if it has something of that kind."""
    getattr(get_class(master.hydra.launcher._target_), "prepare", lambda: None)()


def _refuse_launcher(master: DictConfig) -> None:
    """Refuse a launcher whose package is not installed."""
    launcher = master.hydra.launcher._target_
    try:
        get_class(launcher)
    except Exception as error:  # Hydra wraps a failed import in one of several
        chosen = master.hydra.runtime.choices["hydra/launcher"]
        raise ConfigError(
            f"hydra/launcher = {chosen!r}: {launcher} cannot be used ({error}); docs/many-runs.md says what to install"
        ) from error


def count_workers(asked: int | None, runs: int) -> int:
    """The number of workers: that asked for, else one a core; never more than runs."""
    cores = psutil.cpu_count(logical=False) or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    return min(asked or cores, runs)


PARENT = "mlflow_parent_run"
"""The study's attribute that names the MLflow run of the sweep."""


@contextmanager
def _parent_run(common: SweepingConfig, ledger: "Ledger") -> Iterator[str]:
    """The MLflow run that the sweep's runs are nested under, the same for every command; its status is the sweep's."""
    from study.tracking import sweeps
    from study.tracking.database import locked
    from study.tracking.trouble import AT_ONCE, PATIENCE, patiently

    uri, status = common.tracking.uri, "FAILED"
    with locked(common.sweep.storage, "parent"):  # of two commands that start at once one makes it, the other finds it
        known = ledger.study.user_attrs.get(PARENT)
        plan = f"objective: {common.sweep.objective or 'null'}\n{ledger.plan.describe()}"
        parent = sweeps.open_parent(uri, common.slug, plan, known)
        ledger.study.set_user_attr(PARENT, parent)
    try:
        yield parent
        status = "FAILED" if ledger.counts()["open"] else "FINISHED"
    except KeyboardInterrupt as interrupt:
        status = "KILLED"
        interrupt.args = (_how_to_continue(ledger),)
        raise
    except Trouble as error:
        status = "KILLED"
        error.then = _what_is_left(ledger)
        raise
    finally:
        try:
            patiently(partial(_end, common, ledger, parent, status), uri, AT_ONCE if status == "KILLED" else PATIENCE)
        except Trouble as error:
            error.then = _what_is_left(ledger)
            raise


def _what_is_left(ledger: "Ledger") -> str:
    missing = ledger.counts()["open"]
    return (
        f"the same command makes the {missing} missing runs and the report"
        if missing
        else "the same command writes the report"
    )


def _end(common: SweepingConfig, ledger: "Ledger", parent: str, status: str) -> None:
    """End the MLflow run of a sweep; may be done twice."""
    from study.sweep.summary import best_of_arms
    from study.tracking import sweeps

    uri = common.tracking.uri
    sweeps.end_lost(uri, common.slug, lambda: {trial.number for trial in ledger.running()})
    sweeps.supersede(uri, ledger.superseded())
    sweeps.close_parent(uri, parent, status, dict(ledger.counts()), best_of_arms(ledger))


def _how_to_continue(ledger: "Ledger") -> str:
    counts = ledger.counts()
    command = shlex.join([sys.executable, "-m", "study.train", *sys.argv[1:]])
    return f"{counts['open']} of {counts.total()} runs are still to be made. This makes them:\n  {command}"


def _summarize(common: SweepingConfig, ledger: "Ledger", folder: Path, problem: str) -> None:
    """Print the table, the failed and the missing runs, and where the results are; write the report.

    Raises:
        SystemExit: code 1 if a run failed or is missing.
    """
    from study.report.pages import study as study_page
    from study.sweep.summary import arm_records, failures, next_question, note_lines, power_lines, reading_lines, table
    from study.tracking import store, view
    from study.tracking import uri as place

    console = Console(width=None if sys.stdout.isatty() else 120)
    failed, missing = failures(ledger), ledger.counts()["open"]
    printer().show("runs", arm_records(ledger), table(ledger), console)
    for line in (*note_lines(ledger), *reading_lines(ledger), *power_lines(ledger)):
        console.print(clean(line), markup=False, highlight=False, soft_wrap=True)
    reason = f" {problem}" if problem else ""
    lines = [*failed, *([f"{missing} runs were not made; the same command makes them.{reason}"] if missing else [])]
    for line in lines:
        console.print(clean(line), style="red", markup=False, highlight=False, soft_wrap=True)
    try:
        page = study_page.write(common.slug, common.tracking.uri, place.ui(common.tracking.uri), folder, kept=True)
        report = f"Report: {page}"
    except ConfigError as error:
        lines.append(str(error))
        report = str(error)
    seen = view.where(common.tracking.uri, store.prepare(common.tracking.uri, common.slug))
    runs = f"Results: MLflow experiment {common.slug!r} in {common.tracking.uri}. To browse them: {seen}"
    for line in (next_question(ledger), report, runs):
        console.print(clean(line), markup=False, highlight=False, soft_wrap=True)
    if lines:
        sys.exit(1)
