"""Estimates, before anything is run, of a plan's time and storage, from a few updates of every arm."""

import time
from datetime import timedelta
from typing import Any, NamedTuple

from study.analysis.result import evaluate
from study.learning import clipping
from study.learning.bptt import build
from study.models.sizing import Size, in_words, size_of
from study.schema import Config
from study.sweep.planning.plan import Plan
from study.tasks import Task
from study.train import assemble
from study.training.module import RecurrentModule

TRIAL = 0.5
"""Seconds of updates that are timed of an arm."""
FIXED = 170_000
"""Bytes of a run of any length: its definition and figures. Measured on `bible_search`, like the two numbers below."""
POINT = 320
"""Bytes of a charted value in SQLite, with its share of the indices and of the run's other rows."""
CHARTS = 18
"""Metrics of a run with a value at every charted point."""


class Cost(NamedTuple):
    """Of one run: seconds, and bytes in the store; and the size of its network."""

    seconds: float
    bytes: float
    size: Size


class Estimate(NamedTuple):
    """Of a plan: the cost of a run of every arm, by name; its runs, and who makes them."""

    costs: dict[str, Cost]
    runs: int
    workers: int

    @property
    def seconds(self) -> float:
        """That all runs take, without pruning."""
        return sum(cost.seconds for cost in self.costs.values()) * self.runs / len(self.costs) / self.workers

    @property
    def bytes(self) -> float:
        """Of their store."""
        return sum(cost.bytes for cost in self.costs.values()) * self.runs / len(self.costs)

    @property
    def record(self) -> dict[str, Any]:
        """All of it in plain values."""
        arms = {
            name: {"seconds": cost.seconds, "parameters": cost.size.parameters, "state": cost.size.state}
            for name, cost in self.costs.items()
        }
        whole = {"runs": self.runs, "workers": self.workers, "seconds": self.seconds, "bytes": self.bytes}
        return {"arms": arms, **whole}

    def __str__(self) -> str:
        """Lines with the time that all runs take, and the size of their store."""
        costs, whole = self.costs.items(), timedelta(seconds=round(self.seconds))
        each = "".join(f"  {name}: {cost.seconds:.0f} s a run; {in_words(cost.size)}\n" for name, cost in costs)
        return (
            f"estimated:\n{each}  {self.runs} runs by {self.workers} workers on this machine: about {whole}, "
            f"without pruning\n  store: about {self.bytes / 1e6:.0f} MB"
        )


def estimate(plan: Plan, workers: int) -> Estimate:
    """Time a run of every arm; so many workers make all of them."""
    return Estimate({name: _time_run(plan.arms[arm].config) for arm, name in plan.names.items()}, plan.runs, workers)


def _time_run(config: Config) -> Cost:
    """The cost of a run, from a few of its updates and one validation; its start and its probes are left out."""
    task, module = assemble(config)
    updates = module.pace.updates
    an_update, a_validation = _time_update(config, task, module), _time_validation(task, module)
    validations = updates / (config.trainer.validate_every or updates) + 2
    seconds = config.trainer.max_seconds or updates * an_update + validations * a_validation
    history, size = 4 * len(module.history.columns) * updates, size_of(module.model)
    return Cost(seconds, FIXED + POINT * CHARTS * min(updates, config.tracking.points) + history, size)


def _time_update(config: Config, task: Task, module: RecurrentModule) -> float:
    """Seconds."""
    optimizer, clip, done = module.configure_optimizers(), clipping.build(config.clip), 0
    bptt = build(config.bptt, module.model, module.loss, optimizer, clip, None, config.seed, module.regularizer)
    started = time.perf_counter()
    for batch in task.batches("train").epoch(0):
        done += sum(1 for _ in bptt.updates(batch))
        if time.perf_counter() - started > TRIAL:
            break
    return (time.perf_counter() - started) / done


def _time_validation(task: Task, module: RecurrentModule) -> float:
    """Seconds."""
    started = time.perf_counter()
    evaluate(module, task, "val")
    return time.perf_counter() - started
