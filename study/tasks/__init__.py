"""Tasks: one data set a file under its family, one contract (`study.tasks.contract`), the names of `conf/task`."""

from collections.abc import Callable
from functools import partial

from study.schema.run import Data
from study.schema.task import Task as Config
from study.tasks.contract import Batch, Batches, Metrics, Split, Task
from study.tasks.forecasting import csv, etth1, sine_mix, stocks
from study.tasks.forecasting.adding import Adding
from study.tasks.forecasting.family import Forecasting
from study.tasks.labelling import conll, ewt, hironsan, porttinari, wnut17
from study.tasks.labelling.family import Labelling
from study.tasks.labelling.parity import Parity
from study.tasks.labelling.temporal_order import TemporalOrder
from study.tasks.language import bible, text, tinyshakespeare
from study.tasks.language.copying import Copying
from study.tasks.language.family import Language

TASKS: dict[str, Callable[..., Task]] = {
    "forecasting_stocks": partial(Forecasting, stocks.load_stocks),
    "forecasting_etth1": partial(Forecasting, etth1.load_etth1),
    "forecasting_csv": partial(Forecasting, csv.load_csv),
    "forecasting_sine_mix": partial(Forecasting, sine_mix.load_sine_mix),
    "forecasting_adding": Adding,
    "language_bible_char": partial(Language, bible.load_bible),
    "language_bible_word": partial(Language, bible.load_bible),
    "language_tinyshakespeare_char": partial(Language, tinyshakespeare.load_tinyshakespeare),
    "language_tinyshakespeare_word": partial(Language, tinyshakespeare.load_tinyshakespeare),
    "language_text": partial(Language, text.load_text),
    "language_copying": Copying,
    "labelling_porttinari_pos": partial(Labelling, porttinari.load_porttinari),
    "labelling_ewt_pos": partial(Labelling, ewt.load_ewt),
    "labelling_hironsan_ner": partial(Labelling, hironsan.load_hironsan),
    "labelling_wnut17_ner": partial(Labelling, wnut17.load_wnut17),
    "labelling_conll": partial(Labelling, conll.load_conll),
    "labelling_temporal_order": TemporalOrder,
    "labelling_parity": Parity,
}

__all__ = ["TASKS", "Batch", "Batches", "Metrics", "Split", "Task", "build"]


def build(config: Config, data: Data, seed: int) -> Task:
    """The task a config names, its data read and split; `seed` decides the order of training batches."""
    return TASKS[config.name](config, data, seed)  # type: ignore[attr-defined]
