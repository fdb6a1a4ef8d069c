"""`python -m study.bench.startup`: CPU seconds until a command answers, and relative to a Python that does nothing.

CPU seconds of the process and its children, the median of a few starts: other work on the machine hardly changes them.
A real sweep is started too, and ended at its first update: wall time is what its reader waits, CPU time that of all its
processes until then.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from study.bench.commands import Spent, spent
from study.terminal import printer, table, takes_json

COMMANDS = {
    "python": ("-c", "pass"),
    "--help": ("-m", "study.train", "--help"),
    "wrong option": ("-m", "study.train", "model=lstn"),
    "wrong key": ("-m", "study.train", "modle=lstm"),
    "wrong value": ("-m", "study.train", "trainer.max_updates=abc"),
    "wrong value in a sweep": ("-m", "study.sweep", "trainer.max_updates=abc"),
    "file that is not there": ("-m", "study.train", "task=forecasting_csv", "task.path=no.csv", "task.targets=[y]"),
    "torch, Lightning and MLflow": ("-c", "import torch, pytorch_lightning, mlflow"),
    "dry run of `tour`": ("-m", "study.sweep", "experiment=tour", "sweep.dry_run=true"),
    "the same, timed": ("-m", "study.sweep", "experiment=tour", "sweep.dry_run=timed"),
}
"""What is typed, by what it shows."""
COLUMNS = {"command": "{command}", "CPU seconds": "{seconds:.2f}", "times Python": "{times:.0f}"}


SWEEP = ("-m", "study.sweep", "experiment=tour")
MOMENTS = {"first line of `tour`": 1.0, "first worker at work": 4.0, "first update": 8.0}
"""Wall seconds until them that are aimed at; the worker's from the first line on, with planning and stores."""
MOMENT_COLUMNS = {"moment": "{moment}", "wall s": "{wall:.2f}", "aim": "{aim:.0f}", "CPU s": "{cpu:.2f}"}
LONGEST = 300.0
"""Seconds that a moment is waited for."""


def cpu_seconds(arguments: tuple[str, ...]) -> float:
    """CPU seconds of one start, in an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        return spent([sys.executable, *arguments], Path(folder)).cpu


def moments(arguments: tuple[str, ...] = SWEEP) -> list[Spent]:
    """Start a sweep and end it at its first update; what passed until each of `MOMENTS`.

    Raises:
        RuntimeError: the sweep ended before, or took too long.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, mark = Path(name).resolve(), Path(name).resolve() / "updated"
        marking = f"{{class: study.bench.first_update.FirstUpdate, file: {mark}}}"
        command = [sys.executable, *arguments, f"trainer.callbacks=[{marking}]", "tracking.uri=sqlite:///mlflow.db"]
        said = folder / "said"
        with said.open("w") as file:
            began, sweep = time.perf_counter(), psutil.Popen(command, cwd=folder, stdout=file, stderr=file)
        try:
            found = [
                _passed(sweep, said, began, reached)
                for reached in (
                    lambda: said.stat().st_size > 0,
                    lambda: any(folder.glob("outputs/*/workers/*.log")),
                    mark.exists,
                )
            ]
        finally:
            everyone = [*sweep.children(recursive=True), sweep] if sweep.is_running() else []
            for process in everyone:
                process.kill()
            psutil.wait_procs(everyone)
    first, ready, updated = found
    return [first, Spent(ready.wall - first.wall, ready.cpu - first.cpu), updated]


def _passed(sweep: psutil.Popen, said: Path, began: float, reached: Callable[[], bool]) -> Spent:
    """What has passed when a moment is reached."""
    while not reached():
        if sweep.poll() is not None or time.perf_counter() - began > LONGEST:
            raise RuntimeError(f"no first update, exit code {sweep.poll()}: {said.read_text()}")
        time.sleep(0.01)
    wall = time.perf_counter() - began
    return Spent(wall, sum(sum(one.cpu_times()[:4]) for one in [sweep, *sweep.children(recursive=True)]))


@takes_json
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m study.bench.startup", description=__doc__)
    parser.add_argument("--starts", type=int, default=3, help="of every command; default 3")
    given = parser.parse_args()
    found = {name: statistics.median(cpu_seconds(c) for _ in range(given.starts)) for name, c in COMMANDS.items()}
    alone = found["python"]
    records = [{"command": name, "seconds": spent, "times": spent / alone} for name, spent in found.items()]
    printer().show("starts", records, table(records, COLUMNS, box=None))
    starts = [moments() for _ in range(given.starts)]
    medians = [Spent(*map(statistics.median, zip(*seen, strict=True))) for seen in zip(*starts, strict=True)]
    rows = [
        {"moment": name, "aim": aim, **seen._asdict()}
        for (name, aim), seen in zip(MOMENTS.items(), medians, strict=True)
    ]
    printer().show("moments", rows, table(rows, MOMENT_COLUMNS, box=None))


if __name__ == "__main__":
    main()
