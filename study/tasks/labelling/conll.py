"""The user's own corpus: CoNLL-U, or any columns, in one file or three."""

from pathlib import Path

from study.data import located
from study.data.corpora.columns import Corpus, read_columns, read_conllu
from study.schema.run import DataConfig
from study.schema.task.labelling import LabellingCoNLLConfig as Config
from study.tasks.labelling.family import Corpora, Labelling


def load_conll(config: Config, data: DataConfig) -> Corpora:
    """The columns chosen."""
    whole = located("task.path", config.path)
    if config.validation_path is None or config.test_path is None:
        return Corpora((_corpus(whole, config),), str(whole))
    validation = located("task.validation_path", config.validation_path)
    test = located("task.test_path", config.test_path)
    corpora = _corpus(whole, config), _corpus(validation, config), _corpus(test, config)
    return Corpora(corpora, f"{whole}, {validation}, {test}")


def _corpus(path: Path, config: Config) -> Corpus:
    read = read_conllu if config.format == "conllu" else read_columns
    return read(path, config.word_column, config.label_column)


class CoNLL(Labelling):
    """The user's own corpus."""

    load = staticmethod(load_conll)
