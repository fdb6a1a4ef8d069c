"""Estimates, before anything is run, of a plan's time and storage, from a few updates of every arm."""

import json
import statistics
import time
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from study.analysis.predictions import ROWS
from study.learning import clipping
from study.learning.bptt import build
from study.learning.evaluation import Evaluation
from study.models.sizing import Size, in_words, size_of
from study.schema import Config
from study.sweep.planning.plan import Plan
from study.tasks import Task
from study.tasks import build as build_task
from study.train import assemble
from study.training.module import RecurrentModule

ALL = 3.0
"""Seconds of updates that are timed, divided among the arms."""
WARMING = 2
"""First updates of an arm that do not count."""
FIXED = 170_000
"""Bytes of a run of any length: its definition and figures. Measured on `bible_search`, like the two numbers below."""
POINT = 320
"""Bytes of a charted value in SQLite, with its share of the indices and of the run's other rows."""
PREDICTED = 12
"""Bytes of the prediction of a step."""
CHARTS = 18
"""Metrics of a run with a value at every charted point."""


class Cost(NamedTuple):
    """Of one run: seconds, and bytes in the store; and the size of its network."""

    seconds: float
    bytes: float
    size: Size


class Estimate(NamedTuple):
    """Of the runs that are left: the cost of one of every arm and how many there are of it, by name; who makes them."""

    costs: dict[str, Cost]
    left: dict[str, int]
    workers: int

    @property
    def seconds(self) -> float:
        """That all of them take, without pruning."""
        return sum(cost.seconds * self.left[name] for name, cost in self.costs.items()) / self.workers

    @property
    def bytes(self) -> float:
        """By which their store grows."""
        return sum(cost.bytes * self.left[name] for name, cost in self.costs.items())

    @property
    def record(self) -> dict[str, Any]:
        """All of it in plain values."""
        arms = {
            name: {"seconds": cost.seconds, "parameters": cost.size.parameters, "state": cost.size.state}
            for name, cost in self.costs.items()
        }
        runs = sum(self.left.values())
        return {"arms": arms, "runs": runs, "workers": self.workers, "seconds": self.seconds, "bytes": self.bytes}

    def __str__(self) -> str:
        """Lines with the time that they take, and by how much their store grows."""
        costs, whole = self.costs.items(), timedelta(seconds=round(self.seconds))
        each = "".join(f"  {name}: {cost.seconds:.0f} s a run; {in_words(cost.size)}\n" for name, cost in costs)
        return (
            f"estimated:\n{each}  {sum(self.left.values())} runs by {self.workers} workers on this machine: about "
            f"{whole}, without pruning\n  store: about {self.bytes / 1e6:.0f} MB"
        )


def estimate(plan: Plan, left: Mapping[str, int], workers: int) -> Estimate:
    """Estimate what the runs left of a plan take.

    Args:
        plan: of the sweep.
        left: number of runs that are still to be made, by arm; an arm without any is not timed.
        workers: number of them.
    """
    each, tasks = ALL / len(left), _Tasks()
    costs = {plan.names[arm]: _time_run(tasks, plan.arms[arm].config, each) for arm in left}
    return Estimate(costs, {plan.names[arm]: count for arm, count in left.items()}, workers)


class _Tasks:
    """Tasks, each read once for all arms that have it."""

    def __init__(self) -> None:
        self._built: dict[str, Task] = {}

    def of(self, config: Config) -> Task:
        """The task of a configuration."""
        key = config.task.model_dump_json()
        if key not in self._built:
            self._built[key] = build_task(config.task, config.data, config.seed)
        return self._built[key]


def _time_run(tasks: _Tasks, config: Config, limit: float) -> Cost:
    """The cost of a run, from a few of its updates and one validation; its start and its probes are left out."""
    task, module = assemble(config, tasks.of(config))
    updates = module.pace.updates
    an_update, a_validation = _time_update(config, task, module, limit), _time_validation(task, module, limit)
    validations = updates / (config.trainer.validate_every or updates) + 2
    seconds = config.trainer.max_seconds or updates * an_update + validations * a_validation
    history, size = 4 * len(module.history.columns) * updates, size_of(module.model)
    charts = POINT * CHARTS * min(updates, config.tracking.points)
    return Cost(seconds, FIXED + charts + history + _kept(task, module), size)


def _kept(task: Task, module: RecurrentModule) -> int:
    """Bytes of both files of weights, of what the task learnt, and of the predictions on test."""
    weights = sum(tensor.nbytes for tensor in module.model.state_dict().values())
    steps = min(ROWS, sum(batch.steps for batch in task.batches("test").epoch(0)))
    return 2 * weights + len(json.dumps(task.preprocessing.as_dict(), ensure_ascii=False)) + PREDICTED * steps


def _time_update(config: Config, task: Task, module: RecurrentModule, limit: float) -> float:
    """Seconds of one; the first few, which set libraries up, do not count where there are more."""
    optimizer, clip = module.configure_optimizers(), clipping.build(config.clip)
    bptt = build(config.bptt, module.model, module.loss, optimizer, clip, None, config.seed, module.regularizer)
    updates = (update for batch in task.batches("train").epoch(0) for update in bptt.updates(batch))
    began, times = time.perf_counter(), []
    for _ in updates:
        times.append(time.perf_counter())
        if times[-1] - began > limit and len(times) > WARMING:
            break
    each = [end - start for start, end in pairwise([began, *times])]
    return statistics.median(each[WARMING:] or each)


def _time_validation(task: Task, module: RecurrentModule, limit: float) -> float:
    """Seconds of a whole one, from its first batches."""
    batches, done = task.batches("val"), 0
    module.model.eval()
    evaluation = Evaluation(module.model, module.loss, task.metrics(), batches.stateful)
    began = time.perf_counter()
    for batch in batches.epoch(0):
        evaluation.add([batch])
        done += 1
        if (spent := time.perf_counter() - began) > limit / 2:
            break
    return spent * len(batches) / done
