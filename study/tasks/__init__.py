"""Tasks: one data set a file, one contract (`study.tasks.contract`), the names of `conf/task`."""

from study.schema import task as schema
from study.schema.run import Data
from study.tasks.contract import Batch, Batches, Measures, Split, Task
from study.tasks.forecasting_stocks import ForecastingStocks
from study.tasks.labelling_porttinari_pos import LabellingPorttinariPos
from study.tasks.language_bible_char import LanguageBibleChar

TASKS: dict[str, type] = {
    "forecasting_stocks": ForecastingStocks,
    "language_bible_char": LanguageBibleChar,
    "labelling_porttinari_pos": LabellingPorttinariPos,
}

__all__ = ["TASKS", "Batch", "Batches", "Measures", "Split", "Task", "build"]


def build(config: schema.Task, data: Data, seed: int) -> Task:
    """The task a config names, its data read and split; `seed` decides the order of training batches."""
    return TASKS[config.name](config, data, seed)  # type: ignore[attr-defined]
