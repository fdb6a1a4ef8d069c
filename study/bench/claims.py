"""`python -m study.bench.claims`: what planning and claiming cost a sweep of many runs that many workers make.

The study lies in a PostgreSQL of its own, as several machines share one, and in an SQLite file beside it. Planning, the
workers and their claims are those of a sweep; in place of a training stands its result, nothing is written to MLflow.
What a claim takes is the time from the end of a worker's run to the start of its next. The workers share the cores with
each other and with the server: compare the last claims with the first.
"""

import argparse
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import optuna
from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState

from study.analysis.diagnosis.cause import Cause
from study.analysis.diagnosis.judge import Diagnosis
from study.analysis.result import Result
from study.bench.reliability.first import started
from study.bench.reliability.many import starts
from study.bench.reliability.postgres import postgres
from study.installation import CONF
from study.schema import SweepingConfig, check
from study.sweep.planning.build import build_plan
from study.sweep.planning.composer import Composer
from study.sweep.trials.changes import match
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.storage import open_study
from study.sweep.workers.worker import Worker
from study.terminal import printer, table, takes_json

Value = TypeVar("Value")

SEEDS = 10
"""Of every arm."""
FEW = 100
"""First and last claims that a median is taken of."""
MEASURES = {"rmse/val": 1.0, "rmse/test": 1.0, "rmse/baseline": 2.0, "rmse/opponent": 1.5, "skill/opponent": 1 / 3}
COLUMNS = {
    "database": "{database}",
    "cells": "{cells:,}",
    "workers": "{workers}",
    "planned in": "{planned:.1f} s",
    "and again": "{again:.1f} s",
    "claims a second": "{rate:.1f}",
    "first claims": "{first:.0f} ms",
    "last claims": "{last:.0f} ms",
    "ratio": "{ratio:.2f}",
    "CPU of workers": "{cpu:.1f} ms",
    "made once": "{once:,}",
}


@takes_json
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", type=int, default=[1_000, 10_000], help=f"of each sweep, {SEEDS} an arm")
    parser.add_argument("--sqlite", nargs="*", type=int, default=[1_000], help="the same of the sweeps on SQLite")
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args()
    for cells in (*options.cells, *options.sqlite):
        if cells % SEEDS or cells < 2 * FEW:
            parser.error(f"{cells} cells: a multiple of {SEEDS}, at least {2 * FEW}, is needed")
    with tempfile.TemporaryDirectory() as folder, postgres() as create:
        addresses = [("PostgreSQL", cells, create(f"claims{cells}")) for cells in options.cells]
        addresses += [("SQLite", cells, f"sqlite:///{folder}/{cells}.db") for cells in options.sqlite]
        records = [record(*one, options.workers, Path(folder)) for one in addresses]
    title = "A sweep of many runs, nothing trained"
    caption = f"claims: medians of the first {FEW} and of the last; again: the same command, when all is made"
    printer().show("sweeps", records, table(records, COLUMNS, title=title, caption=caption))


def record(database: str, cells: int, url: str, workers: int, folder: Path) -> dict[str, Any]:
    """Plan a sweep, make its runs, plan it again; what each took."""
    typed = ["model=elman,gru", f"model.hidden_size=range(1,{cells // SEEDS // 2 + 1})", f"seed=range({SEEDS})"]
    planned, worker = timed(partial(plan, url, typed, folder))
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    processes = [started(partial(work, worker), folder) for _ in range(workers)]
    for process in processes:
        process.join()
        assert process.exitcode == 0, f"see {folder}/workers"
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    again, _ = timed(partial(plan, url, typed, folder))
    first, last, once = claims(url)
    return {
        "database": database,
        "cells": cells,
        "workers": workers,
        "planned": planned,
        "again": again,
        "rate": cells / wall,
        "first": 1000 * first,
        "last": 1000 * last,
        "ratio": last / first,
        "cpu": 1000 * cpu / cells,
        "once": once,
    }


def timed(work: Callable[[], Value]) -> tuple[float, Value]:
    """Seconds that some work takes, and what it returns."""
    before = time.perf_counter()
    found = work()
    return time.perf_counter() - before, found


def plan(url: str, typed: Sequence[str], folder: Path) -> Worker:
    """Plan as a sweep does, up to the state of every cell; returns a worker for it."""
    loader, master = composed()
    master.sweep.storage, master.slug = url, "claims"
    common = check(OmegaConf.masked_copy(master, list(SweepingConfig.model_fields)), SweepingConfig)
    composer = Composer(loader, master)
    wanted = build_plan(common.sweep, typed, composer)
    with open_study(url, common.slug, "minimize") as study:
        known = match(study, wanted, refusing=True)
        Ledger(study, known).counts()
    return Untrained(composer.within(wanted.fixed), common, known, "", folder, "bench")


def composed() -> tuple[ConfigLoader, DictConfig]:
    """Hydra's loader, and what it makes of `conf/`, with its own node."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        master = compose("train", return_hydra_config=True)
        return GlobalHydra.instance().config_loader(), master


def work(worker: Worker, folder: Path) -> None:
    """Be a worker in this process."""
    worker(DictConfig({}))


def claims(url: str) -> tuple[float, float, int]:
    """Seconds of the first and of the last claims of a study; the cells that were made exactly once."""
    with open_study(url, "claims") as study:
        made = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    times = Counter(str(trial.user_attrs["cell"]) for trial in made)
    return *starts(made, FEW), sum(number == 1 for number in times.values())


class Untrained(Worker):
    """A worker that trains nothing, and writes nothing to MLflow."""

    def _train(self, ledger: Ledger, trial: optuna.Trial, *_: Any) -> Result:
        ledger.note(trial, {"run_id": f"{trial.number:032x}", "seed": 0})
        return untrained("")


def untrained(run_id: str) -> Result:
    """That of a run without a network."""
    diagnosis = Diagnosis("completed", "healthy", Cause("none"), "", "none", "")
    return Result(run_id, diagnosis, 0, 0.0, 0.0, MEASURES, "rmse", "minimize", "HAR(1, 5, 22)")


if __name__ == "__main__":
    main()
