"""How long a plan takes and how much it stores, told before any of it is run: a moment of every arm is tried."""

import time
from datetime import timedelta
from typing import NamedTuple

from study.analysis.result import evaluate
from study.learning import clipping
from study.learning.bptt import TruncatedBPTT
from study.schema import Config
from study.sweep.planning.plan import Plan
from study.tasks import Task
from study.train import assemble
from study.training.module import RecurrentModule

TRIAL = 0.5
"""Seconds that an arm's updates are tried for."""
FIXED = 170_000
"""Bytes of a run whatever its length: definition, pictures; measured on `bible_search`, as the two below."""
POINT = 320
"""Bytes of a charted value in the store, on SQLite, its indices and all the rest of the run's rows included."""
CHARTS = 18
"""Charted keys of a run with a value at every point."""


class Cost(NamedTuple):
    """Of one run."""

    seconds: float
    bytes: float


def estimate(plan: Plan, workers: int) -> str:
    """Lines that tell the time of all runs, shared by so many workers, and the size of the store."""
    runs = len(plan) / len(plan.arms)
    costs = {name: _try(plan.arms[arm].config) for arm, name in plan.names.items()}
    whole = timedelta(seconds=round(sum(cost.seconds for cost in costs.values()) * runs / workers))
    stored = sum(cost.bytes for cost in costs.values()) * runs
    each = "".join(f"  {name}: {cost.seconds:.0f} s a run\n" for name, cost in costs.items())
    return (
        f"estimated:\n{each}  {len(plan)} runs by {workers} workers on this machine: about {whole}, without pruning\n"
        f"  store: about {stored / 1e6:.0f} MB"
    )


def _try(config: Config) -> Cost:
    """One run of an arm: its updates and its validations; starting, and probes, are not tried."""
    task, module = assemble(config)
    updates = module.pace.updates
    an_update, a_validation = _an_update(config, task, module), _a_validation(task, module)
    validations = updates / (config.trainer.validate_every or updates) + 2
    seconds = config.trainer.max_seconds or updates * an_update + validations * a_validation
    history = 4 * len(module.history.columns) * updates
    return Cost(seconds, FIXED + POINT * CHARTS * min(updates, config.tracking.points) + history)


def _an_update(config: Config, task: Task, module: RecurrentModule) -> float:
    optimizer, plan, done = module.configure_optimizers(), config.bptt, 0
    bptt = TruncatedBPTT(
        module.model, module.loss, optimizer, clipping.build(config.clip), plan.k1, plan.k2, plan.update
    )
    started = time.perf_counter()
    for batch in task.batches("train").epoch(0):
        done += sum(1 for _ in bptt.updates(batch))
        if time.perf_counter() - started > TRIAL:
            break
    return (time.perf_counter() - started) / done


def _a_validation(task: Task, module: RecurrentModule) -> float:
    started = time.perf_counter()
    evaluate(module, task, "val")
    return time.perf_counter() - started
