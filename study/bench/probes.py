"""`python -m study.bench.probes`: the cost of every measure in training steps, and of the schedules in a run.

A training step is one update of `TruncatedBPTT` by full BPTT on the same batch: forward, backward, clipping, Adam.
Measures are taken as `conf/probe/full.yaml` sets them, on small networks, where costs that do not depend on the size
weigh most. Processor time, medians, one thread. Targets: a flow costs at most 4 steps, the default schedule
(`probe=end`) at most 3% of a run.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from rich.console import Console

from study import models
from study.bench.composed import composed
from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.norm import ClipNorm
from study.learning.losses.mse import MSE
from study.models import Inputs
from study.probes.schedule import Schedule
from study.schema import Config
from study.schema.model import MODELS
from study.schema.probe import PROBES
from study.tasks import Batch
from study.terminal import printer, table, takes_json

TIME, WIDTH, FEATURES = 100, 32, 16
SCHEDULES = {
    "task": "{task}",
    "updates": "{updates:d}",
    "update, ms": "{update_ms:.1f}",
    "probe=end": "{end:.1%}",
    "probe=history": "{history:.1%}",
}


@takes_json
def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--cells", nargs="+", choices=tuple(MODELS), default=tuple(MODELS), metavar="CELL")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    console = Console()
    console.width = max(console.width, 110)
    measures, schedules = _measures(options.cells, options.repetitions), _schedules(options.repetitions)
    columns = {"core, layers": "{core}, {layers}", "step, ms": "{step_ms:.1f}"} | {n: f"{{{n}:.1f}}" for n in PROBES}
    title = f"Cost of one measurement in training steps (hidden 32, batch {WIDTH} x {TIME})"
    printer().show("measures", measures, table(measures, columns, title=title), console)
    title = "Cost of a schedule over a run of the default length, as a share of its updates"
    printer().show("schedules", schedules, table(schedules, SCHEDULES, title=title), console)


def _measures(cells: Sequence[str], repetitions: int) -> list[dict[str, Any]]:
    """Measure the cost of every measure on cores of some cells, in training steps."""
    records: list[dict[str, Any]] = []
    for name in cells:
        for layers in (1, 3):
            config = composed(f"model={name}", "model.hidden_size=32", f"model.num_layers={layers}", "probe=full")
            batch = Batch(torch.randn(TIME, WIDTH, FEATURES), torch.randn(TIME, WIDTH, 1))
            bptt = _trainer(config)
            step, costs = _costs(config, bptt, batch, repetitions)
            shares = {probe: cost / step for probe, cost in costs.items()}
            records.append({"core": name, "layers": layers, "step_ms": 1000 * step, **shares})
    return records


def _schedules(repetitions: int) -> list[dict[str, Any]]:
    """Measure what each schedule adds to a run of the default length, for the three default tasks."""
    tasks = ("forecasting_stocks", "language_bible_char", "labelling_porttinari_pos")
    return [_scheduled(task, repetitions) for task in tasks]


def _scheduled(task: str, repetitions: int) -> dict[str, Any]:
    from study.train import assemble

    config = composed(f"task={task}", "model=lstm")
    _, module = assemble(config)
    sgd = torch.optim.Adam(module.model.parameters())
    bptt = TruncatedBPTT(module.model, module.loss, sgd, ClipNorm(1.0))
    batch = module.probes.frozen(torch.device("cpu"))
    step, costs = _costs(config, bptt, batch, repetitions)
    updates = config.trainer.max_updates or 0
    found: dict[str, Any] = {"task": task, "updates": updates, "update_ms": 1000 * step}
    for plan in ("end", "history"):
        schedule = composed(f"probe={plan}").probe
        times = 1 + sum(1 for _ in _due(Schedule(schedule.every, schedule.per_decade, schedule.start), updates))
        found[plan] = times * sum(costs.values()) / (updates * step)
    return found


def _due(schedule: Schedule, updates: int) -> Iterator[int]:
    """Yield the updates before the end at which measures are taken."""
    due = schedule.first()
    while due < updates:
        yield due
        due = schedule.after(due)


def _costs(config: Config, bptt: TruncatedBPTT, batch: Batch, repetitions: int) -> tuple[float, dict[str, float]]:
    """Measure the seconds of a training step, and of every measure that the config asks for."""
    plans = {name: getattr(config.probe, name) for name in PROBES}
    step = _seconds(lambda: list(bptt.updates(batch)), 3 * repetitions)
    wanted = {
        name: partial(PROBES.implementation(name).measure, plan, bptt, batch) for name, plan in plans.items() if plan
    }
    return step, {name: _seconds(take, repetitions) for name, take in wanted.items()}


def _seconds(work: Callable[[], object], repetitions: int) -> float:
    work()
    taken = []
    for _ in range(repetitions):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def _trainer(config: Config) -> TruncatedBPTT:
    network = models.build(config.model, Inputs(FEATURES, tokens=False), 1)
    return TruncatedBPTT(network, MSE(), torch.optim.Adam(network.parameters()), ClipNorm(1.0))


if __name__ == "__main__":
    main()
