"""Tasks: one data set a file under its family, one contract (`study.tasks.contract`), the names of `conf/task`."""

from study.schema.run import DataConfig
from study.schema.task import TASKS, TaskConfig
from study.tasks.contract import Batch, Batches, Metrics, Split, Task

__all__ = ["Batch", "Batches", "Metrics", "Split", "Task", "build"]


def build(config: TaskConfig, data: DataConfig, seed: int) -> Task:
    """The task a config names, its data read and split; `seed` decides the order of training batches."""
    task: Task = TASKS.implementation(config.name)(config, data, seed)
    return task
