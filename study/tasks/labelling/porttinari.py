"""Porttinari (Pardo et al. 2021), 8,420 sentences of Portuguese news: the universal part of speech of every word."""

from functools import lru_cache

from study.data import carried
from study.data.corpora.columns import read_conllu
from study.schema.run import DataConfig
from study.schema.task.labelling import LabellingPorttinariConfig as Config
from study.tasks.labelling.family import Corpora, Labelling

FILE = "dante/data/porttinari/annotated.conllu"
read_once = lru_cache(read_conllu)


def load_porttinari(config: Config, data: DataConfig) -> Corpora:
    """All sentences, in the order of the corpus."""
    return Corpora((read_once(carried(data, FILE)),), f"dante-corpora: {FILE}")


class Porttinari(Labelling):
    """Porttinari."""

    load = staticmethod(load_porttinari)
    read_file = staticmethod(lambda path, config: read_conllu(path))
