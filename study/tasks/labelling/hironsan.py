"""Hironsan's corpus of 500 Japanese sentences: named entities, 7 kinds."""

from study.data import carried
from study.data.corpora.columns import read_columns
from study.schema.run import DataConfig
from study.schema.task.labelling import LabellingHironsanConfig as Config
from study.tasks.labelling.family import Corpora, Labelling

FILE = "hironsan/corpus/iob_sents.txt"


def load_hironsan(config: Config, data: DataConfig) -> Corpora:
    """All sentences; the two spellings of the kind person, PSN and PER, are made one."""
    corpus = read_columns(carried(data, FILE), word=1, label=0, ragged=True)
    labels = [label.replace("PSN", "PER") for label in corpus.labels]
    return Corpora((corpus._replace(labels=labels),), f"hironsancorpus: {FILE}")


class Hironsan(Labelling):
    """Hironsan's corpus of 500 Japanese sentences."""

    load = staticmethod(load_hironsan)
