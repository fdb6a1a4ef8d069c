"""`python -m study.bench.loader`: steps a second of the batches alone, against training of the smallest model.

A loader slower than training would hold it up. The smallest model, one Elman unit without clipping, one window a batch,
is the fastest to train, so any other model waits even less for its data. Tasks whose data are missing are left out;
downloads are looked for in the cache (RNN_STUDY_CACHE).
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from hydra import compose, initialize_config_dir
from rich.console import Console
from rich.table import Table

from study import models, tasks
from study.data import carried
from study.errors import ConfigError
from study.installation import CONF
from study.learning import losses
from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.none import NoClip
from study.schema import Config, validate
from study.tasks import Batch, Batches

OWN = {
    "forecasting_csv": (
        "bokeh_sampledata/_data/lincoln_weather.csv",
        "task.date=DATE",
        "task.targets=[TMAX]",
        "task.missing=forward",
    ),
    "language_text": ("bible/data/kjv.jsonl",),
    "labelling_conll": ("dante/data/porttinari/annotated.conllu",),
}
"""Files of the data packages that stand in for the user's own, and the other keys those tasks need."""
SMALLEST = ("model=elman", "model.hidden_size=1", "optimizer=sgd", "clip=none")


def main() -> None:
    """Measure every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=200, help="timed at a time")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--cases", nargs="*", choices=list(tasks.TASKS), default=list(tasks.TASKS), metavar="TASK")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(title="Steps a second, one thread", caption=f"medians of {options.repetitions} repetitions")
    for column in ("task", "loader", "training", "ratio"):
        table.add_column(column, justify="left" if column == "task" else "right")
    for case in options.cases:
        try:
            loader, training = speeds(configured(case), options.batches, options.repetitions)
        except ConfigError as missing:
            table.add_row(case, "-", "-", str(missing).partition(":")[0])
        else:
            table.add_row(case, f"{loader:,.0f}", f"{training:,.0f}", f"{loader / training:.0f}")
    Console().print(table)


def configured(case: str) -> Config:
    """Compose a task with the smallest model."""
    file, *keys = OWN.get(case, ("",))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        data = validate(compose("train")).data
        own = [f"task.path='{carried(data, file)}'", *keys] if file else []
        return validate(compose("train", [f"task={case}", *own, *SMALLEST]))


def speeds(config: Config, most: int, repetitions: int) -> tuple[float, float]:
    """Measure median steps a second of the loader alone, and of training on batches that are made already."""
    task = tasks.build(config.task, config.data, config.seed)
    batches = task.batches("train")
    made = _some(batches, 0, most)
    steps = sum(batch.targets.shape[0] * batch.targets.shape[1] for batch in made)
    learn = _training(config, task)
    times = [
        (_seconds(lambda: _some(batches, 0, most)), _seconds(lambda: [learn(batch) for batch in made]))
        for _ in range(repetitions)
    ]
    loading, training = (statistics.median(column) for column in zip(*times, strict=True))
    return steps / loading, steps / training


def _some(batches: Batches, epoch: int, most: int) -> list[Batch]:
    """Make the first batches of an epoch, its order included."""
    return [batch for _, batch in zip(range(most), batches.epoch(epoch), strict=False)]


def _training(config: Config, task: tasks.Task) -> Callable[[Batch], object]:
    loss, size = losses.build(config.loss, task.units), task.targets
    model = models.build(config.model, task.inputs, loss.outputs(size), loss.constants(size))
    bptt = TruncatedBPTT(model, loss, torch.optim.SGD(model.parameters(), 1e-3), NoClip())
    return lambda batch: list(bptt.updates(batch))


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
