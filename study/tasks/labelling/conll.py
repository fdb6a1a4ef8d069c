"""The user's own corpus: CoNLL-U, or any columns, in one file or three."""

from pathlib import Path

from study.data import located
from study.data.corpora.columns import Corpus, NoColumn, read_columns, read_conllu, read_tagged
from study.data.corpora.schemes import scheme
from study.errors import ConfigError
from study.schema.run import DataConfig
from study.schema.task.labelling import LabellingCoNLLConfig as Config
from study.tasks.labelling.family import Corpora, Labelling


def load_conll(config: Config, data: DataConfig) -> Corpora:
    """The columns chosen."""
    whole = located("task.path", config.path)
    if config.validation_path is None or config.test_path is None:
        return Corpora((_with_scheme(_corpus(whole, config)),), str(whole))
    validation = located("task.validation_path", config.validation_path)
    test = located("task.test_path", config.test_path)
    corpora = _with_scheme(_corpus(whole, config)), _corpus(validation, config), _corpus(test, config)
    return Corpora(corpora, f"{whole}, {validation}, {test}")


def _corpus(path: Path, config: Config) -> Corpus:
    if config.format == "tagged":
        return read_tagged(path)
    read = read_conllu if config.format == "conllu" else read_columns
    return read(path, config.word_column, config.label_column)


def _labelled_or_not(path: Path, config: Config) -> Corpus:
    """A file without the column of labels too: every label is then `_`, as in CoNLL-U."""
    try:
        return _corpus(path, config)
    except NoColumn as error:
        try:
            corpus = _corpus(path, config.model_copy(update={"label_column": config.word_column}))
        except ConfigError:
            raise error from None
    return corpus._replace(labels=["_"] * len(corpus.words))


def _with_scheme(corpus: Corpus) -> Corpus:
    """The corpus with a note on the scheme in which it writes entities."""
    if not (name := scheme(corpus.label_rows())):
        return corpus
    note = f"The labels are entities written in {name}: they are scored as whole entities, by entity_f1."
    return corpus._replace(notes=(*corpus.notes, note))


class CoNLL(Labelling):
    """The user's own corpus."""

    load = staticmethod(load_conll)
    read_file = staticmethod(_labelled_or_not)
