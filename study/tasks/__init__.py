"""Tasks: one data set a file under its family, with one contract (`study.tasks.contract`), named as in `conf/task`."""

from typing import Any

from study.errors import ConfigError, nearest
from study.schema.defaults import option
from study.schema.run import DataConfig
from study.schema.task import TASKS, TaskConfig
from study.tasks.contract import SPLITS, Batch, Batches, Metrics, Split, Task

__all__ = ["SPLITS", "Batch", "Batches", "Metrics", "Split", "Task", "build", "configure"]


def build(config: TaskConfig, data: DataConfig, seed: int) -> Task:
    """Build the task that a config names: read and split its data. `seed` decides the order of training batches."""
    task: Task = TASKS.implementation(config.name)(config, data, seed)
    return task


def configure(name: str, **values: Any) -> TaskConfig:
    """The configuration of a task without Hydra: conf/task/<name>.yaml with some values changed.

        task = build(configure("labelling_parity", seq_len=30), DataConfig(carriers=None, cache=None), seed=0)

    Raises:
        ConfigError: there is no task of this name.
        ValueError: a key or a value that the task does not take; it is named.
    """
    if name not in TASKS:
        raise ConfigError(f"task = {name!r}: there is no such task{nearest(name, TASKS)} (allowed: {', '.join(TASKS)})")
    config: TaskConfig = TASKS.config(name).model_validate(option("task", name) | values)
    return config
