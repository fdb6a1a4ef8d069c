"""Estimates, before anything is run, of a plan's time and storage, from a few updates of every arm."""

import json
import time
from datetime import timedelta
from typing import NamedTuple

from study.analysis.predictions import ROWS
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
PREDICTED = 12
"""Bytes of the prediction of a step."""
CHARTS = 18
"""Metrics of a run with a value at every charted point."""


class Cost(NamedTuple):
    """Of one run: seconds, and bytes in the store; and the size of its network."""

    seconds: float
    bytes: float
    size: Size


def estimate(plan: Plan, workers: int) -> str:
    """Lines with the time that all runs take so many workers, and the size of their store."""
    runs = plan.runs / len(plan.arms)
    costs = {name: _time_run(plan.arms[arm].config) for arm, name in plan.names.items()}
    whole = timedelta(seconds=round(sum(cost.seconds for cost in costs.values()) * runs / workers))
    stored = sum(cost.bytes for cost in costs.values()) * runs
    each = "".join(f"  {name}: {cost.seconds:.0f} s a run; {in_words(cost.size)}\n" for name, cost in costs.items())
    return (
        f"estimated:\n{each}  {plan.runs} runs by {workers} workers on this machine: about {whole}, without pruning\n"
        f"  store: about {stored / 1e6:.0f} MB"
    )


def _time_run(config: Config) -> Cost:
    """The cost of a run, from a few of its updates and one validation; its start and its probes are left out."""
    task, module = assemble(config)
    updates = module.pace.updates
    an_update, a_validation = _time_update(config, task, module), _time_validation(task, module)
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
