"""Tiny Shakespeare (Karpathy 2015, char-rnn): 1.1 million characters of his plays."""

from study.data import Download, fetched, read_text
from study.schema.run import DataConfig
from study.schema.task.language import LanguageTinyShakespeareConfig as Config
from study.tasks.language.family import Language, Texts, apart

FILE = Download(
    "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    "tinyshakespeare.txt",
)


def load_tinyshakespeare(config: Config, data: DataConfig) -> Texts:
    """The whole text; at the word level punctuation stands apart."""
    text = read_text(fetched(data, FILE))
    return Texts((apart(text, config.level),), FILE.url)


class TinyShakespeare(Language):
    """Tiny Shakespeare."""

    prose = True
    load = staticmethod(load_tinyshakespeare)
