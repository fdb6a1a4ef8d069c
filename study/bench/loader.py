"""`python -m study.bench.loader`: steps a second of the batches alone, against training of the smallest model.

A loader slower than training would hold it up. The smallest model, one Elman unit without clipping, one window a batch,
is the fastest to train, so any other model waits even less for its data. Tasks whose data are missing are left out;
downloads are looked for in the cache (RNN_STUDY_CACHE).
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from study import models, tasks
from study.bench.composed import composed
from study.data import carried
from study.errors import ConfigError
from study.learning import losses
from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.none import NoClip
from study.schema import Config
from study.tasks import Batch, Batches
from study.terminal import printer, table, takes_json

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
SPEEDS = ("loader", "training", "ratio")
COLUMNS = {
    "task": "{task}",
    "loader": "{loader:,.0f}",
    "training": "{training:,.0f}",
    "ratio": "{ratio:.0f}",
    "": "{missing}",
}
SMALLEST = ("model=elman", "model.hidden_size=1", "optimizer=sgd", "clip=none")


@takes_json
def main() -> None:
    """Measure every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=200, help="timed at a time")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--cases", nargs="*", choices=list(tasks.TASKS), default=list(tasks.TASKS), metavar="TASK")
    options = parser.parse_args()
    torch.set_num_threads(1)
    records = [_record(case, options.batches, options.repetitions) for case in options.cases]
    caption = f"medians of {options.repetitions} repetitions"
    printer().show("speeds", records, table(records, COLUMNS, title="Steps a second, one thread", caption=caption))


def _record(case: str, most: int, repetitions: int) -> dict[str, Any]:
    """Steps a second, and their ratio; of a task whose data are not here what is missing."""
    try:
        loader, training = speeds(configured(case), most, repetitions)
    except ConfigError as missing:
        return {"task": case, "missing": str(missing).partition(":")[0]} | dict.fromkeys(SPEEDS)
    return {"task": case, "missing": ""} | dict(zip(SPEEDS, (loader, training, loader / training), strict=True))


def configured(case: str) -> Config:
    """Compose a task with the smallest model."""
    file, *keys = OWN.get(case, ("",))
    own = [f"task.path='{carried(composed().data, file)}'", *keys] if file else []
    return composed(f"task={case}", *own, *SMALLEST)


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
