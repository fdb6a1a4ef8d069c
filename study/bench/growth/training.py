"""Longer sequences, more updates, wider and deeper networks."""

from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import torch

from study.analysis.result import evaluate
from study.bench.composed import composed
from study.bench.growth.contract import Costs, GrowthRow, Meter
from study.bench.reliability.many import long_run
from study.learning.bptt import Update
from study.tasks import Task
from study.train import assemble
from study.training.module import RecurrentModule

WINDOW, UPDATES = 50, 100
"""Steps of a truncation, and updates that are timed, at least: those of one sequence where it has more."""
SERIES = ("task=forecasting_sine_mix", "task.batch_size=4", f"bptt.k1={WINDOW}", f"bptt.k2={WINDOW}")
TEXT = ("task=language_bible_char", "model=lstm")


def of_length(_: Path, steps: int) -> Costs:
    """Training on sequences of so many steps, cut into windows; then a test on a series of as many."""
    series = ("task.seq_len=" + str(steps), f"task.steps={4 * steps}", "task.validation=0.25", "task.test=0.25")
    task, module = _assembled(*SERIES, *series, "model.hidden_size=32")
    costs = dict(_updates(task, module, max(UPDATES, steps // WINDOW)))
    meter = Meter()
    evaluate(module, task, "test")
    tested = {"CPU us a step, tested": 1e6 * meter.seconds() / steps, "MB more, tested": meter.megabytes()}
    return costs | tested


def of_updates(folder: Path, updates: int) -> Costs:
    """A whole run; what its process grows by is in `python -m study.bench.reliability many-updates`."""
    (own := folder / str(updates)).mkdir()
    meter = Meter()
    long_run(own, updates)
    return {"CPU ms an update": 1e3 * meter.seconds() / updates}


def of_units(_: Path, units: int) -> Costs:
    """Training a layer of so many units."""
    return _updates(*_assembled(*TEXT, f"model.hidden_size={units}"), UPDATES // 2)


def of_layers(_: Path, layers: int) -> Costs:
    """Training so many layers of 64 units."""
    return _updates(*_assembled(*TEXT, "model.hidden_size=64", f"model.num_layers={layers}"), UPDATES // 2)


def _assembled(*overrides: str) -> tuple[Task, RecurrentModule]:
    task, module = assemble(composed(*overrides))
    module.as_restored()
    return task, module


def _updates(task: Task, module: RecurrentModule, number: int) -> Costs:
    """CPU time an update after the first, and by what the process grows from before the first."""
    made, memory = _endless(task, module), Meter()
    next(made)
    meter = Meter()
    for _ in islice(made, number):
        pass
    return {"CPU ms an update": 1e3 * meter.seconds() / number, "MB more": memory.megabytes()}


def _endless(task: Task, module: RecurrentModule) -> Iterator[Update]:
    torch.set_num_threads(1)
    batches = task.batches("train")
    for epoch in count():
        for batch in batches.epoch(epoch):
            yield from module.bptt.updates(batch, module.bptt.carry if batches.stateful else None)


ROWS = {
    "length": GrowthRow("steps of a sequence, truncated at 50", (1_000, 10_000, 100_000), of_length),
    "updates": GrowthRow("updates of a run", (1_000, 10_000, 100_000), of_updates),
    "hidden": GrowthRow("units of an LSTM", (32, 64, 128, 256, 512), of_units),
    "layers": GrowthRow("layers of 64 units", (1, 2, 4, 8), of_layers),
}
