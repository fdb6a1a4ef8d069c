"""Tasks that draw their sequences, small, for tests of what they draw."""

from study import tasks
from study.schema.run import DataConfig
from study.tasks import Batch, Task

DATA = DataConfig(carriers=None, cache=None)
SMALL = {"sequences": 256, "held_out": 256, "batch_size": 256}


def built(name: str, **values: object) -> Task:
    """The task as conf/task/<name>.yaml states it, small, with some values changed."""
    return tasks.build(tasks.configure(name, **(SMALL | values)), DATA, 0)


def first(task: Task) -> Batch:
    """The first training batch."""
    return next(task.batches("train").epoch(0))
