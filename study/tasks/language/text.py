"""The user's own text: one file, or three as Penn Treebank and WikiText-2 come (train, valid, test)."""

from study.data import located, read
from study.schema.run import DataConfig
from study.schema.task.language import LanguageTextConfig as Config
from study.tasks.language.family import Language, Texts


def load_text(config: Config, data: DataConfig) -> Texts:
    """As it is: words are what white space separates, `<unk>` is an unknown one."""
    whole = located("task.path", config.path)
    if config.validation_path is None or config.test_path is None:
        text, _, notes = read(whole)
        return Texts((text,), str(whole), notes)
    validation = located("task.validation_path", config.validation_path)
    test = located("task.test_path", config.test_path)
    train, val, last = (read(path) for path in (whole, validation, test))
    notes = tuple(dict.fromkeys((*train.notes, *val.notes, *last.notes)))
    return Texts((train.text, val.text, last.text), f"{whole}, {validation}, {test}", notes)


class Text(Language):
    """The user's own text."""

    load = staticmethod(load_text)
