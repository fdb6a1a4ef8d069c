"""`conf/task`: what is learnt, from which data; one file a family."""

from study.schema.task import forecasting, labelling, language
from study.schema.task.base import TASKS, DrawnConfig, Kind, LengthsConfig, TaskConfig

__all__ = ["TASKS", "DrawnConfig", "Kind", "LengthsConfig", "TaskConfig", "forecasting", "labelling", "language"]
