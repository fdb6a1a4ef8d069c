"""`python -m study.bench.opponents`: what every opponent of every task reaches, and the seconds it takes.

Fits anew, without the cache of scores; seconds are the processor's. Tasks whose data are not here are named at the end;
`RNN_STUDY_CACHE` names the folder of downloads. Tasks on the user's own files need overrides:
`--tasks forecasting_csv --overrides task.path=my.csv 'task.targets=[price]'`.
"""

import argparse
from typing import Any

import torch
from rich.console import Console

from study import tasks
from study.bench.composed import composed
from study.errors import ConfigError
from study.opponents import Score, best, scores
from study.schema.task import TASKS
from study.tasks import Task
from study.terminal import printer, table, takes_json

COLUMNS = {
    "task": "{task}",
    "opponent": "{opponent}",
    "measure": "{measure}",
    "validation": "{val:.4f}",
    "test": "{test:.4f}",
    "seconds": "{seconds:.1f}",
}


@takes_json
def main() -> None:
    """Fit and measure all opponents, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", choices=list(TASKS), default=list(TASKS), metavar="TASK")
    parser.add_argument("--overrides", nargs="*", default=[], metavar="KEY=VALUE", help="as on the command line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    records: list[dict[str, Any]] = []
    missing = {}
    for name in options.tasks:
        try:
            records += _records(name, *_scores(name, options.overrides))
        except ConfigError as error:
            missing[name] = str(error).splitlines()[0]
    style = lambda record: "bold" if record["best"] else None  # noqa: E731
    printer().show("opponents", records, table(records, COLUMNS, style, box=None), Console(width=140))
    printer().keep(left_out=missing)
    for name, why in missing.items():
        print(f"{name}: left out ({why})")


def _scores(name: str, overrides: list[str]) -> tuple[Task, dict[str, Score]]:
    config = composed(f"task={name}", *overrides)
    task = tasks.build(config.task, config.data, config.seed)
    return task, scores(task, config.task, digest="", folder=None, bidirectional=True)


def _records(name: str, task: Task, found: dict[str, Score]) -> list[dict[str, Any]]:
    """A row an opponent."""
    hardest = best(found, task.primary, task.direction)
    return [
        {"task": name, "opponent": score.label, "measure": task.primary}
        | {split: score.metrics[split][task.primary] for split in ("val", "test")}
        | {"seconds": score.seconds, "best": opponent == hardest}
        for opponent, score in found.items()
    ]


if __name__ == "__main__":
    main()
