"""Find, decode and check text files, in one place, so that every task says the same about a bad file."""

from pathlib import Path

from study.errors import ConfigError
from study.installation import typed
from study.schema import Config
from study.schema.base import Decides
from study.schema.identity import marked


def located(key: str, path: str) -> Path:
    """Return the user's own file, whose path is the value of the config key `key`; see `typed`.

    Raises:
        ConfigError: there is no such file.
    """
    file = typed(path)
    if not file.is_file():
        raise ConfigError(f"{key} = {path!r}: there is no file {file.absolute()}")
    return file


def refuse_missing(config: Config) -> None:
    """Refuse a task whose files are not there, without waiting for what would read them.

    Raises:
        ConfigError: naming the first.
    """
    group, values = "task", config.task.model_dump()
    for key in marked(Decides.DATA):
        if key.startswith(f"{group}.") and (path := values.get(key.partition(".")[2])) is not None:
            located(key, path)


def read_text(path: Path) -> str:
    """Read a text file: UTF-8, lines ending in LF, not empty.

    Raises:
        ConfigError: it is anything else; with the number of the line.
    """
    raw = path.read_bytes()
    if not raw.strip():
        raise ConfigError(f"{path}: the file is empty")
    if b"\r" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\r")) + 1
        raise ConfigError(f"{path}, line {line}: ends in a carriage return (CRLF); convert it, e.g. with `dos2unix`")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"{path}, line {line}: the byte {raw[error.start]:#04x}"
        raise ConfigError(f"{found} is not UTF-8; convert it, e.g. with `iconv -t utf-8`") from error


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file, without their ends; see `read_text`."""
    return read_text(path).removesuffix("\n").split("\n")
