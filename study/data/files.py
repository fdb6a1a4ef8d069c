"""Files of text: found, decoded and refused in one place, so that every task says the same about a bad file."""

from pathlib import Path

from study.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
"""Relative paths in a configuration start here, wherever a command is typed."""


def located(key: str, path: str) -> Path:
    """The user's own file named by the config key `key`.

    Raises:
        ConfigError: there is no such file.
    """
    file = ROOT / path
    if not file.is_file():
        raise ConfigError(f"{key} = {path!r}: there is no file {file}")
    return file


def read_text(path: Path) -> str:
    """The text of a file: UTF-8, lines ending in LF, not empty.

    Raises:
        ConfigError: it is anything else; with the line.
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
    """The lines of a text file, without their ends; see `read_text`."""
    return read_text(path).removesuffix("\n").split("\n")
