"""Tasks: one data set a file under its family, with one contract (`study.tasks.contract`), named as in `conf/task`."""

from study.schema.run import DataConfig
from study.schema.task import TASKS, TaskConfig
from study.tasks.contract import SPLITS, Batch, Batches, Metrics, Split, Task

__all__ = ["SPLITS", "Batch", "Batches", "Metrics", "Split", "Task", "build"]


def build(config: TaskConfig, data: DataConfig, seed: int) -> Task:
    """Build the task that a config names: read and split its data. `seed` decides the order of training batches."""
    task: Task = TASKS.implementation(config.name)(config, data, seed)
    return task
