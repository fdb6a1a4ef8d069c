"""Hironsan's corpus of 500 Japanese sentences: named entities, 7 kinds."""

from pathlib import Path

from study.data import carried
from study.data.corpora.columns import Corpus, read_columns
from study.schema.run import DataConfig
from study.schema.task.labelling import LabellingHironsanConfig as Config
from study.tasks.labelling.family import Corpora, Labelling

FILE = "hironsan/corpus/iob_sents.txt"


def load_hironsan(config: Config, data: DataConfig) -> Corpora:
    """All sentences; the two spellings of the kind person, PSN and PER, are made one."""
    return Corpora((one_spelling(carried(data, FILE)),), f"hironsancorpus: {FILE}")


def one_spelling(path: Path) -> Corpus:
    """The words of a file and the labels in its last column."""
    corpus = read_columns(path, word=1, label=0, ragged=True)
    return corpus._replace(labels=[label.replace("PSN", "PER") for label in corpus.labels])


class Hironsan(Labelling):
    """Hironsan's corpus of 500 Japanese sentences."""

    load = staticmethod(load_hironsan)
    read_file = staticmethod(lambda path, config: one_spelling(path))
