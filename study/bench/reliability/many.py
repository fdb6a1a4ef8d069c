"""Many runs in one sweep, many updates in one run: what grows, and whether the last one starts as fast as the first."""

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import psutil
from optuna.trial import FrozenTrial

from study.bench.reliability.contract import Fault, Tally
from study.bench.reliability.first import opened
from study.sweep.trials.storage import open_study

if TYPE_CHECKING:
    from pytorch_lightning import Callback

    from study.analysis.result import Result

RUNS, UPDATES = 50, 5_000
"""A seed's share of the runs of the sweep, and of the updates of the run."""
WARM = 50
"""First runs, after which a process has what it keeps; a tenth of the updates."""
FLAT = 0.05
"""Megabytes a run that a process may grow by: Optuna keeps what it read of every trial."""
SLOWER = 1.5
"""Times as long as the first may the last runs take to start."""
LARGER = 3
"""Times as much as its history may a run's process grow: the history is put together in one piece where it is read."""
SOME = 20
"""First and last ones whose median is compared."""
MEGABYTE, FLOAT = 1e6, 4
TINY = ("model=elman", "model.hidden_size=4", "probe=none", "task=forecasting_sine_mix", "task.batch_size=16")


class Snapshot(NamedTuple):
    """The megabytes of every process of a sweep, by process id, at a time."""

    when: datetime
    sizes: Mapping[int, float]


def many_runs(folder: Path, seeds: int) -> Tally:
    """A sweep of runs of a few updates by two workers."""
    runs = RUNS * seeds
    with sweep_of(folder, runs, workers=2) as parent:
        seen = _watched(parent)
    trials = trials_of(folder)
    made = [trial for trial in trials if trial.user_attrs.get("outcome")]
    grown = _growth(parent.pid, made, seen)
    first, last = starts(made, SOME)
    lost = abs(runs - len({str(trial.user_attrs["cell"]) for trial in made})) + len(trials) - len(made)
    lost += sum(rate > FLAT for rate in grown.values()) + (last > SLOWER * first)
    rates = ", ".join(f"{who} {rate:+.3f}" for who, rate in grown.items())
    return Tally(
        runs, lost, f"MB a run after the {WARM}th: {rates}; the first start after {first:.2f} s, the last {last:.2f}"
    )


def sweep_of(folder: Path, runs: int, workers: int) -> subprocess.Popen[bytes]:
    """Start a sweep of runs of ten updates, in a folder of its own."""
    typed = ["slug=many", *TINY, "trainer.max_updates=10", f"seed=range({runs})", f"sweep.workers={workers}"]
    command, nowhere = [sys.executable, "-m", "study.sweep", *typed], subprocess.DEVNULL
    return subprocess.Popen(command, cwd=folder, stdout=nowhere, stderr=nowhere)


def trials_of(folder: Path) -> list[FrozenTrial]:
    """The trials of that sweep."""
    with open_study(f"sqlite:///{folder}/optuna.db", "many") as study:
        return study.get_trials(deepcopy=False)


def _watched(parent: subprocess.Popen[bytes]) -> list[Snapshot]:
    """The memory of a process and all that it started, twice a second until it ends."""
    root, seen = psutil.Process(parent.pid), list[Snapshot]()
    while parent.poll() is None:
        with suppress(psutil.Error):
            everyone = [root, *root.children(recursive=True)]
            seen.append(Snapshot(datetime.now(), {one.pid: one.memory_info().rss / MEGABYTE for one in everyone}))
        time.sleep(0.5)
    return seen


def _growth(parent: int, trials: Sequence[FrozenTrial], seen: Sequence[Snapshot]) -> dict[str, float]:
    """Megabytes a run of the sweep by which its processes grew from the `WARM`th run to the last."""
    ends = sorted(trial.datetime_complete for trial in trials if trial.datetime_complete)
    early, late = (_at(ends[place], seen) for place in (min(WARM, len(ends) // 2) - 1, -1))
    workers = [pid for pid in {trial.user_attrs["owner"]["pid"] for trial in trials} if pid in early and pid in late]
    runs = len(ends) - min(WARM, len(ends) // 2)
    named = {"parent": parent, **{f"worker {n}": pid for n, pid in enumerate(workers, 1)}}
    return {name: (late[pid] - early[pid]) / runs for name, pid in named.items()}


def _at(when: datetime, seen: Sequence[Snapshot]) -> Mapping[int, float]:
    return min((one for one in seen if len(one.sizes) > 1), key=lambda one: abs(one.when - when)).sizes


def starts(trials: Sequence[FrozenTrial], some: int) -> tuple[float, float]:
    """Seconds from the end of a worker's run to the start of its next, medians of the first ones and the last ones."""
    by_worker: dict[int, list[FrozenTrial]] = defaultdict(list)
    for trial in sorted(trials, key=lambda trial: trial.number):
        by_worker[trial.user_attrs["owner"]["pid"]].append(trial)
    gaps = [
        (after.datetime_start, (after.datetime_start - before.datetime_complete).total_seconds())
        for own in by_worker.values()
        for before, after in pairwise(own)
        if after.datetime_start and before.datetime_complete
    ]
    seconds = [gap for _, gap in sorted(gaps)]
    return median(seconds[:some]), median(seconds[-some:])


def many_claims(folder: Path, seeds: int) -> Tally:
    """Runs claimed and finished one after another by one process, with nothing trained."""
    runs = RUNS * seeds
    spent, cells = zip(*claimed(folder, runs), strict=True)
    first, last = median(spent[:SOME]), median(spent[-SOME:])
    taken = len({*cells})
    lost = abs(runs - taken) + len(spent) - taken + (last > SLOWER * first)
    return Tally(runs, lost, f"ms of CPU a claim: the first {1000 * first:.1f}, the last {1000 * last:.1f}")


def claimed(folder: Path, runs: int) -> list[tuple[float, str]]:
    """CPU seconds of every claim of this process, and the cell claimed, until none of so many runs is left."""
    found: list[tuple[float, str]] = []
    with opened(folder, range(runs)) as ledger:
        while True:
            began = time.process_time()
            if (trial := ledger.claim()) is None:
                return found
            found.append((time.process_time() - began, str(trial.user_attrs["cell"])))
            ledger.finish(trial, 1.0, {"outcome": "completed"})


def many_updates(folder: Path, seeds: int) -> Tally:
    """One long run in this process."""
    import pytorch_lightning as pl

    from study.tracking.reader import find_one

    class Sizes(pl.Callback):
        """The megabytes of this process by the number of updates made, each hundredth: the list itself takes memory."""

        def __init__(self) -> None:
            self.seen: list[tuple[int, float]] = []

        def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
            if trainer.global_step % 100 == 0:
                self.seen.append((trainer.global_step, psutil.Process(os.getpid()).memory_info().rss / MEGABYTE))

    updates, sizes = UPDATES * seeds, Sizes()
    result = long_run(folder, updates, [sizes])
    history = find_one(store_in(folder), result.run_id).table("gradients.parquet")
    early = next(size for update, size in sizes.seen if update >= updates // 10)
    grown = max(size for _, size in sizes.seen) - early
    kept = (updates - updates // 10) * len(history.columns) * FLOAT / MEGABYTE
    seen = f"{grown:+.1f} MB from update {updates // 10:,} to {updates:,}, of which the history itself is {kept:.1f}"
    return Tally(updates, updates - len(history) + (grown > LARGER * kept), seen)


def long_run(folder: Path, updates: int, callbacks: "Sequence[Callback]" = ()) -> "Result":
    """Train a small network for so many updates, in this process, with a store in a folder."""
    from study.bench.composed import composed
    from study.tracking.place import Place
    from study.train import train

    typed = [*TINY, f"trainer.max_updates={updates}", "trainer.progress_bar=false", f"tracking.uri={store_in(folder)}"]
    return train(composed(*typed), typed, Place(checkpoints=folder), callbacks)


def store_in(folder: Path) -> str:
    """The address of a store of runs in a folder."""
    return f"sqlite:///{folder}/mlflow.db"


FAULTS = [
    Fault("many-runs", "a sweep of 1,000 runs: none lost, none twice, memory flat, starts as fast", many_runs),
    Fault("many-claims", "1,000 runs claimed and finished, nothing trained", many_claims),
    Fault("many-updates", "a run of 100,000 updates: its history complete, memory flat", many_updates),
]
