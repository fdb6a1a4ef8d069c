"""`python -m study.bench.sweep`: a sweep with two workers beside the same with one, and beside the usual way.

The runs are those of an experiment, one seed an arm. The usual way is joblib with two processes, in each job one plain
Lightning Trainer that logs the loss and every parameter's norm at each step with MLFlowLogger. It trains the same
models on the same batches as often as the sweep did, where that stopped early as well, and validates as often. It
neither measures with probes, nor tests, nor fits opponents, nor writes a report; the sweep does all of that.

Every repetition makes the runs of all three in turn, each in a folder of its own; ratios are of medians. Start-up is
what passes before the first run begins, and the end what passes after the last one: both are the same for many runs.
"""

import argparse
import json
import statistics
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from study.bench.commands import Spent, spent
from study.sweep.trials.storage import open_study
from study.terminal import printer, table, takes_json
from study.tracking.provenance import environment, versions

STORE = "tracking.uri=sqlite:///mlflow.db"
WAYS = ("one worker", "two workers", "usual")
COLUMNS = {
    "way": "{way}",
    "runs": "{runs}",
    "updates": "{updates:,}",
    "wall s": "{wall:.1f}",
    "start-up": "{start_up:.1f}",
    "runs alone": "{steady:.1f}",
    "end": "{end:.1f}",
    "CPU s": "{cpu:.1f}",
    "two workers are faster": "{faster:.2f}",
    "in runs alone": "{faster_alone:.2f}",
    "in CPU s": "{cheaper:.2f}",
}


class Job(NamedTuple):
    """A run that a sweep has made: its overrides, the updates that it made, its first and last moment."""

    overrides: list[str]
    updates: int
    began: datetime
    ended: datetime


class SweepTook(NamedTuple):
    """What one way took in one repetition, in seconds; of the usual way start-up and end are not known apart."""

    wall: float
    cpu: float
    start_up: float | None = None
    steady: float | None = None
    end: float | None = None


@takes_json
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiment", default="tour")
    parser.add_argument("--updates", type=int, default=300, help="of every run; default 300")
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("overrides", nargs="*", help="of every run: trainer.validate_every=100")
    options = parser.parse_args()
    fixed = [f"trainer.max_updates={options.updates}", *options.overrides]
    took: dict[str, list[SweepTook]] = {way: [] for way in WAYS}
    for _ in range(options.repetitions):
        for workers, way in enumerate(WAYS[:2], 1):
            jobs, seen = swept(options.experiment, fixed, workers)
            took[way].append(seen)
        took["usual"].append(usually(options.experiment, fixed, jobs))
    show(took, jobs, options.repetitions)


def swept(experiment: str, fixed: list[str], workers: int) -> tuple[list[Job], SweepTook]:
    """Make the runs by one sweep."""
    typed = [f"experiment={experiment}", "seed=0", f"sweep.workers={workers}", STORE, *fixed]
    with tempfile.TemporaryDirectory() as name:
        began, folder = datetime.now(), Path(name)
        took = spent([sys.executable, "-m", "study.sweep", *typed], folder)
        jobs = made(f"sqlite:///{folder}/optuna.db", experiment)
    first, last = min(job.began for job in jobs), max(job.ended for job in jobs)
    start_up, steady = (first - began).total_seconds(), (last - first).total_seconds()
    return jobs, SweepTook(*took, start_up, steady, took.wall - start_up - steady)


def made(storage: str, slug: str) -> list[Job]:
    """The runs that a study knows, without the updates that a run which diverged did not make.

    Raises:
        SystemExit: none was made.
    """
    with open_study(storage, slug) as study:
        trials = [trial for trial in study.get_trials(deepcopy=False) if "run_updates" in trial.user_attrs]
    if not trials:
        sys.exit("The sweep made no run: type it yourself to see why.")
    return [
        Job(
            trial.user_attrs["arm"].split(),
            int(trial.user_attrs["run_updates"]),
            trial.datetime_start or datetime.max,
            trial.datetime_complete or datetime.min,
        )
        for trial in trials
    ]


def usually(experiment: str, fixed: list[str], jobs: list[Job]) -> SweepTook:
    """Make the same runs the usual way."""
    same = [f"experiment={experiment}", "seed=0", STORE, *fixed]
    asked = [[*same, *job.overrides, f"trainer.max_updates={job.updates}"] for job in jobs]
    with tempfile.TemporaryDirectory() as name:
        took: Spent = spent([sys.executable, "-m", "study.bench.by_joblib"], Path(name), json.dumps(asked))
    return SweepTook(*took)


def show(took: dict[str, list[SweepTook]], jobs: list[Job], repetitions: int) -> None:
    """Print medians, and ratios to two workers."""
    records = [_record(way, took[way], took["two workers"], jobs) for way in took]
    machine = environment()
    caption = f"medians of {repetitions} alternating repetitions; {machine['processor']}, {machine['cores']} cores, "
    caption += f"one thread a run; {versions()}"
    printer().show("ways", records, table(records, COLUMNS, caption=caption))


def _record(way: str, took: list[SweepTook], two: list[SweepTook], jobs: list[Job]) -> dict[str, Any]:
    own, other = (
        {name: _median(took, name) for name in SweepTook._fields},
        {name: _median(two, name) for name in SweepTook._fields},
    )
    known = own["steady"] is not None
    return {
        "way": way,
        "runs": len(jobs),
        "updates": sum(job.updates for job in jobs),
        **own,
        "faster": own["wall"] / other["wall"],
        "faster_alone": own["steady"] / other["steady"] if known else None,
        "cheaper": own["cpu"] / other["cpu"],
    }


def _median(took: list[SweepTook], name: str) -> Any:
    values = [getattr(one, name) for one in took]
    return None if None in values else statistics.median(values)


if __name__ == "__main__":
    main()
