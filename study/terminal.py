"""What commands print: tables for a reader, or with `--json` the same numbers for a program.

A command prints its tables through `Printer.show`, whatever else it has to say with `print`. With `--json` standard
output is one JSON object, every table a list of records under its name, and all other words go to standard error.
Numbers are numbers as they were computed, not as they are shown; NaN and infinity are null.
"""

import argparse
import ctypes
import functools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Any

from study.errors import INTERRUPTED

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console
    from rich.table import Table

FLAG = "--json"
MISSING = "-"
Record = Mapping[str, Any]
"""A row of a table: values by key."""


class Printer:
    """Where the tables of a command go.

    Attributes:
        found: what JSON will hold; None: tables are drawn.
    """

    def __init__(self, as_json: bool):
        self.found: dict[str, Any] | None = {} if as_json else None

    def show(self, name: str, records: Sequence[Record], drawn: "Table", console: "Console | None" = None) -> None:
        """Print a table; shown again under the same name, it gets more records.

        Args:
            name: its key in JSON.
            records: its rows.
            drawn: the same for a reader, see `table`.
            console: to draw on.
        """
        if self.found is not None:
            self.found.setdefault(name, []).extend(records)
        else:
            from rich.console import Console

            (console or Console()).print(drawn)

    def keep(self, **values: Any) -> None:
        """Add to the JSON what a reader gets in words."""
        if self.found is not None:
            self.found |= values


_printers = [Printer(False)]


def printer() -> Printer:
    """The one of the command that runs."""
    return _printers[-1]


@contextmanager
def printing(as_json: bool) -> Iterator[Printer]:
    """Print what the block shows: at once, or at its end as JSON; nothing where it was refused before that."""
    _printers.append(Printer(as_json))
    stdout = sys.stdout
    try:
        with _words_aside() if as_json else nullcontext():
            yield printer()
    finally:
        if found := _printers.pop().found:
            print(json.dumps(plain(found), ensure_ascii=False, allow_nan=False), file=stdout)


@contextmanager
def _words_aside() -> Iterator[None]:
    """Send what is printed in the block to standard error, also by libraries in C and by processes started in it."""
    stdout, kept = sys.stdout, os.dup(1)
    stdout.flush()
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        stdout.flush()  # of a logger that was set up before
        ctypes.CDLL(None).fflush(None)  # C keeps what it prints until then
        os.dup2(kept, 1)
        os.close(kept)


def clean(text: str) -> str:
    """A text as it can be shown: what a terminal would interpret is replaced, whoever recorded it; lines stay lines."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text.expandtabs(4))


def say(text: object, file: "TextIO | None" = None) -> None:
    """Print words that may hold names from a store or a file."""
    print(clean(str(text)), file=file)


def takes_json(main: Callable[[], Any]) -> Callable[[], Any]:
    """Give the option to a command that reads its arguments by itself."""

    @interruptible
    @functools.wraps(main)
    def wrapped() -> Any:
        as_json = FLAG in sys.argv
        sys.argv = [argument for argument in sys.argv if argument != FLAG]
        with printing(as_json):
            return main()

    return wrapped


def interruptible(main: Callable[..., Any]) -> Callable[..., Any]:
    """Let a Ctrl-C end a command with one line, and the exit code that shells expect, instead of a traceback."""

    @functools.wraps(main)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            return main(*arguments, **options)
        except KeyboardInterrupt as interrupt:
            say(": ".join(["Interrupted", *interrupt.args]), sys.stderr)
            sys.exit(INTERRUPTED)

    return wrapped


def add_flag(parser: argparse.ArgumentParser) -> None:
    """Add the option to a parser."""
    parser.add_argument(FLAG, action="store_true", help="print tables as JSON, and nothing else, on standard output")


def plain(value: Any) -> Any:
    """A value as JSON has it: NumPy's numbers as numbers, what is not finite as None, what it does not know as text."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(part) for part in value]
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def table(
    records: Sequence[Record],
    columns: Mapping[str, str],
    style: Callable[[Record], str | None] = lambda record: None,
    **options: Any,
) -> "Table":
    """Draw records.

    Args:
        records: rows.
        columns: by their heads, each the format of a cell: `{error:.1e}`; `-` where a number is None. Those that
            format a number stand right.
        style: of a row.
        options: of rich's table.
    """
    from rich.table import Table
    from rich.text import Text

    drawn = Table(**options)
    for head, form in columns.items():
        drawn.add_column(head, justify="right" if ":" in form else "left", overflow="fold")
    for record in records:
        drawn.add_row(*(Text(_cell(form, record)) for form in columns.values()), style=style(record))
    return drawn


def _cell(form: str, record: Record) -> str:
    """A cell without what a terminal would interpret: texts may be recorded ones."""
    try:
        text = form.format_map(record)
    except (TypeError, ValueError):  # None, or a word, where a number would stand
        return MISSING
    return clean(text.replace("\n", "�"))
