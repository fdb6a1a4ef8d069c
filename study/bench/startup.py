"""`python -m study.bench.startup`: CPU seconds until a command answers, and relative to a Python that does nothing.

CPU seconds of the process and its children, the median of a few starts: other work on the machine hardly changes them.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile

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


def cpu_seconds(arguments: tuple[str, ...]) -> float:
    """CPU seconds of one start, in an empty folder."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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


if __name__ == "__main__":
    main()
