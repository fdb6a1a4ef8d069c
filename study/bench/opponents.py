"""`python -m study.bench.opponents`: what every opponent of every task reaches, and the seconds it takes.

Fits anew, without the cache of scores; seconds are the processor's. Tasks whose data are not here are named at the end;
`RNN_STUDY_CACHE` names the folder of downloads. Tasks on the user's own files need overrides:
`--tasks forecasting_csv --overrides task.path=my.csv 'task.targets=[price]'`.
"""

import argparse

import torch
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table

from study import tasks
from study.command import CONF
from study.errors import ConfigError
from study.opponents import Score, best, scores
from study.schema import validate
from study.schema.task import TASKS
from study.tasks import Task


def main() -> None:
    """Fit and measure all opponents, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", choices=list(TASKS), default=list(TASKS), metavar="TASK")
    parser.add_argument("--overrides", nargs="*", default=[], metavar="KEY=VALUE", help="as on the command line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table, missing = Table("task", "opponent", "measure", "validation", "test", "seconds", box=None), {}
    for name in options.tasks:
        try:
            task, found = _scores(name, options.overrides)
        except ConfigError as error:
            missing[name] = str(error).splitlines()[0]
            continue
        _add(table, name, task, found)
    console = Console(width=140)
    console.print(table)
    for name, why in missing.items():
        console.print(f"{name}: left out ({why})", markup=False)


def _scores(name: str, overrides: list[str]) -> tuple[Task, dict[str, Score]]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = validate(compose("train", [f"task={name}", *overrides]))
    task = tasks.build(config.task, config.data, config.seed)
    return task, scores(task, config.task, digest="", folder=None, bidirectional=True)


def _add(table: Table, name: str, task: Task, found: dict[str, Score]) -> None:
    """A row an opponent; the best one's is in bold."""
    hardest = best(found, task.primary, task.direction)
    for opponent, score in found.items():
        value = (f"{score.metrics[split][task.primary]:.4f}" for split in ("val", "test"))
        style = "bold" if opponent == hardest else None
        table.add_row(name, score.label, task.primary, *value, f"{score.seconds:.1f}", style=style)
        name = ""
    table.add_section()


if __name__ == "__main__":
    main()
