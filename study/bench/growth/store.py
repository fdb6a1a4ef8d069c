"""More runs in the store, more workers at one sweep."""

import os
import statistics
import time
from datetime import timedelta
from pathlib import Path

from study.bench.fixed import configured, cpu_seconds
from study.bench.growth.contract import Costs, GrowthRow, Meter
from study.bench.reliability.first import opened, started
from study.bench.reliability.many import SOME, claimed, store_in, sweep_of, trials_of
from study.bench.report import track
from study.report.data.runs import gather
from study.tracking.reader import search

SLUG, UPDATES = "bench", 100
REPEATED = 5
"""Times that a run is started, and that the store is read, for the median."""
SWEEP, CLAIMS = 24, 200
"""Runs of a sweep, and claims, that workers share."""


def of_runs(folder: Path, runs: int) -> Costs:
    """A store of so many runs: one more is claimed, all are read for a report, one more is started."""
    os.chdir(folder)
    made = len(search(store_in(folder), slug=SLUG)) if (folder / "mlflow.db").is_file() else 0
    for number in range(made, runs):
        track(SLUG, number, UPDATES)
    (own := folder / str(runs)).mkdir()
    spent = [seconds for seconds, _ in claimed(own, runs)]
    reading = statistics.median(_reading(folder) for _ in range(REPEATED))
    starts = [cpu_seconds(configured("none", seed)) for seed in range(REPEATED + 1)][1:]
    return {
        "CPU ms of the last claims": 1e3 * statistics.median(spent[-SOME:]),
        "CPU s of a report's reading": reading,
        "CPU s of a run of 10 updates": statistics.median(starts),
    }


def _reading(folder: Path) -> float:
    meter = Meter()
    gather(store_in(folder), SLUG)
    return meter.seconds()


def of_workers(folder: Path, workers: int) -> Costs:
    """A sweep of short runs, and runs claimed and finished with nothing trained, by so many processes at once."""
    (swept := folder / f"swept-{workers}").mkdir()
    sweep_of(swept, SWEEP, workers).wait()
    trials = trials_of(swept)
    starts, ends = zip(*((trial.datetime_start, trial.datetime_complete) for trial in trials), strict=True)
    took: timedelta = max(ends) - min(starts)
    (shared := folder / f"claimed-{workers}").mkdir()
    with opened(shared, range(CLAIMS)):  # makes the tables
        pass
    began = time.perf_counter()
    processes = [started(_claim_all, shared) for _ in range(workers)]
    for process in processes:
        process.join()
    return {
        "runs a second": len(trials) / took.total_seconds(),
        "claims a second": CLAIMS / (time.perf_counter() - began),
    }


def _claim_all(folder: Path) -> None:
    claimed(folder, CLAIMS)


ROWS = {
    "runs": GrowthRow("runs in the store", (10, 100, 1_000), of_runs),
    "workers": GrowthRow("workers of a sweep", (1, 2, 4, 8), of_workers),
}
