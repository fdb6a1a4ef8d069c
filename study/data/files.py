"""Find, decode and check text files, in one place, so that every task says the same about a bad file."""

import codecs
import gzip
import os
import shlex
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from study.errors import ConfigError
from study.installation import typed
from study.schema import Config
from study.schema.base import Decides
from study.schema.identity import marked

GZIP = b"\x1f\x8b"
BINARY = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save its sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save its sheet as CSV",
    b"PAR1": "Parquet; convert it, e.g. with pandas: read_parquet(...).to_csv(...)",
    b"%PDF": "a PDF",
    b"SQLite format 3": "an SQLite database",
    b"BZh": "compressed by bzip2; unpack it with bunzip2",
    b"\xfd7zXZ": "compressed by xz; unpack it with unxz",
}
"""First bytes of files that people take for text, and what these are."""
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Byte order marks; that of UTF-32 begins as that of UTF-16, so it comes first."""

ZEROS = 0.01
"""Share of the bytes of UTF-16 that are zeros, at least; of these, share that may be in the other places."""


class Contents(NamedTuple):
    """A text file, decoded.

    Attributes:
        text: lines end in LF.
        encoding: as Python names it.
        notes: what had to be decided to read it, in sentences.
    """

    text: str
    encoding: str
    notes: tuple[str, ...]


def located(key: str, path: str) -> Path:
    """Return the user's own file, whose path is the value of the config key `key`; see `typed`.

    Raises:
        ConfigError: there is no such file, or it may not be read.
    """
    file = typed(path)
    if file.is_dir():
        raise ConfigError(f"{key} = {path!r}: this is a folder; name one file (several texts: `cat` them into one)")
    if not file.is_file():
        raise ConfigError(f"{key} = {path!r}: there is no file {file.absolute()}")
    if not os.access(file, os.R_OK):
        raise ConfigError(f"{key} = {path!r}: this user may not read the file")
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


def read(path: Path) -> Contents:
    """Read a text file: UTF-8, or what its byte order mark says; plain or by gzip; lines ending in LF or CRLF.

    Raises:
        ConfigError: it is empty, or anything else; with the number of the line, and the command that converts it.
    """
    raw, notes = path.read_bytes(), []
    if raw.startswith(GZIP):
        raw = _unpacked(path, raw)
        notes.append(f"{path.name} is compressed by gzip and was unpacked in memory.")
    if not raw or raw.isspace():
        raise ConfigError(f"{path}: the file is empty")
    for start, what in BINARY.items():
        if raw.startswith(start):
            raise ConfigError(f"{path}: this is no text, but {what}")
    mark, encoding = next(((mark, name) for mark, name in MARKS.items() if raw.startswith(mark)), (b"", "utf-8"))
    text = _decoded(path, raw[len(mark) :], encoding)
    if encoding != "utf-8":
        notes.append(
            f"{path.name} is {encoding.upper().removesuffix('-LE').removesuffix('-BE')} by its byte order mark."
        )
    text, ends = _in_lines(path, text)
    return Contents(text, encoding, (*notes, *ends))


def read_text(path: Path) -> str:
    """The text of a file; see `read`."""
    return read(path).text


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file, without their ends; see `read`."""
    return lines(read_text(path))


def lines(text: str) -> list[str]:
    """The lines of a text, without their ends."""
    return text.removesuffix("\n").split("\n")


def each_line(text: str) -> Iterator[str]:
    """The lines of a text, without their ends, one after another: not all of them beside the text."""
    first, last = 0, len(text) - text.endswith("\n")
    while (end := text.find("\n", first, last)) >= 0:
        yield text[first:end]
        first = end + 1
    yield text[first:last]


def _unpacked(path: Path, raw: bytes) -> bytes:
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"{path}: it is compressed by gzip and damaged ({error})") from error


def _decoded(path: Path, raw: bytes, encoding: str) -> str:
    if encoding == "utf-8" and (wide := _wide(raw)):
        raise ConfigError(f"{path}: this looks like {wide} without a byte order mark; convert it: {_iconv(wide, path)}")
    if encoding == "utf-8" and (place := raw.find(0)) >= 0:
        line = raw.count(b"\n", 0, place) + 1
        raise ConfigError(f"{path}, line {line}: there is a zero byte in it: this is no text, or a damaged one")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"{path}, line {line}: the byte {raw[error.start]:#04x} is not {encoding.upper()}"
        if encoding != "utf-8":
            raise ConfigError(f"{found}: the file is damaged") from error
        start, end = raw.rfind(b"\n", 0, error.start) + 1, raw.find(b"\n", error.start)
        shown = raw[start : end if end >= 0 else None].decode("cp1252", errors="replace").strip()[:60]
        raise ConfigError(
            f"{found}; if {shown!r} is what the line says, the file is Windows-1252 (or Latin-1): convert it: "
            f"{_iconv('WINDOWS-1252', path)}"
        ) from error


def _wide(raw: bytes) -> str:
    """UTF-16 by its zeros, which are in every other place alone: beside Latin letters, blanks and ends of lines."""
    even, odd = raw[::2].count(0), raw[1::2].count(0)
    if max(even, odd) < ZEROS * len(raw) or min(even, odd) > ZEROS * max(even, odd):
        return ""
    return "UTF-16LE" if odd > even else "UTF-16BE"


def _iconv(encoding: str, path: Path) -> str:
    return f"iconv -f {encoding} -t UTF-8 {shlex.quote(str(path))} > {shlex.quote(f'{path}.utf8')}"


def _in_lines(path: Path, text: str) -> tuple[str, tuple[str, ...]]:
    """The text with LF at the end of every line, and what was changed.

    Raises:
        ConfigError: there is a carriage return that ends no line.
    """
    if "\r" not in text:
        return text, ()
    if "\n" not in text:
        return text.replace("\r", "\n"), (f"{path.name}: lines end in a carriage return alone and are read as lines.",)
    text = text.replace("\r\n", "\n")
    if "\r" in text:
        line = text.count("\n", 0, text.index("\r")) + 1
        raise ConfigError(
            f"{path}, line {line}: there is a carriage return in it; convert the file, e.g. with `mac2unix`"
        )
    return text, (f"{path.name}: lines end in CRLF and are read as if they ended in LF.",)
