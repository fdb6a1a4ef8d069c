"""A table as texts: which sign separates its cells, where its header is, and what its columns are called."""

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from study.data.files import each_line, read
from study.errors import ConfigError

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
SAMPLE = 200
"""Rows by which the layout is found."""
BLOCK = 1 << 18
"""Rows that are read at a time, see `blockwise`."""
STATED = re.compile(r'"?sep=(.)"?\n')
"""The first line that names the separator for Excel."""
DATUM = re.compile(r"[-+(]?[$€£¥]?[.,]?\d")
"""How a number and a date begin, and no name of a column."""


class Sheet(NamedTuple):
    """A table, read.

    Attributes:
        path: of the file.
        cells: texts; its index holds the line of every row in the file, its columns are the names of the header.
        separator: of the cells.
        encoding: of the file.
        headless: the header looks like a row of data.
        notes: what had to be decided, in sentences.
    """

    path: Path
    cells: pd.DataFrame
    separator: str
    encoding: str
    headless: bool
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Of the columns."""
        return [str(name) for name in self.cells.columns]

    @property
    def why_nameless(self) -> str:
        """The end of a message about names that are not there; empty if the header has names."""
        return "; its first line looks like data: a header line must name the columns" if self.headless else ""

    def refuse(self, cells: pd.Series, bad: pd.Series, why: str) -> None:
        """Refuse the first bad cells of a column by their lines in the file.

        Raises:
            ConfigError: any is bad.
        """
        if bad.any():
            found = [f"line {line}: {cell!r}" for line, cell in cells[bad].iloc[:3].items()]
            more = f" and {bad.sum() - 3} more" if bad.sum() > 3 else ""
            raise ConfigError(f"{self.path}, column {cells.name!r}, {', '.join(found)}{more}: {why}")


class Header(NamedTuple):
    """The lines above the data.

    Attributes:
        names: of the columns.
        rows: up to the first row of data, empty ones included.
        lines: the same, in lines of the file.
        headless: the names look like data.
        notes: what is left out or put together.
    """

    names: list[str]
    rows: int
    lines: int
    headless: bool
    notes: tuple[str, ...]


def read_sheet(path: Path, separator: str | None = None) -> Sheet:
    """Read every cell as a text.

    pandas would rename the second of two equal names, and take the first column for an index where rows are longer
    than the header: both would go unnoticed, so both are refused.

    Args:
        path: of the file.
        separator: of the cells; None: found by the first rows.
    """
    text, encoding, notes = read(path)
    if stated := STATED.match(text):
        separator, text = separator or stated[1], "\n" + text[stated.end() :]  # an empty line: the numbers stay right
    found = separator or _separator(text)
    if found != "," and not separator:
        notes += (f"{path.name}: cells are separated by a {SEPARATORS[found]}.",)
    header = _header(path, text, found)
    cells = _cells(path, text, found, header)
    cells, left_out = _without_empty(path, cells)
    short = _short(path, text, found, header, cells)
    return Sheet(path, cells, found, encoding, header.headless, (*notes, *header.notes, *left_out, *short))


def blockwise(read: Callable[[pd.Series], pd.Series], cells: pd.Series) -> pd.Series:
    """What a function makes of every cell, some rows at a time: what it takes beside that is then small.

    pandas and Python's patterns make an object of 70 bytes of every text that they read.

    Args:
        read: of a cell, whatever the others are.
        cells: texts.
    """
    if len(cells) <= BLOCK:
        return read(cells)
    return pd.concat([read(cells.iloc[first : first + BLOCK]) for first in range(0, len(cells), BLOCK)])


def _short(path: Path, text: str, separator: str, header: Header, cells: pd.DataFrame) -> Iterator[str]:
    """A sentence about rows of fewer cells than there are columns: one may have been lost before their end."""
    if not (cells[cells.columns[-1]] == "").any():
        return
    rows = _rows(text, separator, None)[header.rows :]
    if short := [line for row, line in rows if any(row) and len(row) < len(cells.columns)]:
        yield (
            f"{path.name}: {len(short)} lines have fewer cells than the header, the first is line {short[0]}; they are "
            "taken to lack the last ones."
        )


def _rows(text: str, separator: str, count: int | None = SAMPLE) -> list[tuple[list[str], int]]:
    """The first rows with the line at which each ends; cells without the white space around them."""
    reader = csv.reader((line + "\n" for line in each_line(text)), delimiter=separator)
    try:
        return [([cell.strip() for cell in row], reader.line_num) for row in islice(reader, count)]
    except csv.Error:  # a cell longer than any: this is no separator of the file
        return []


def _width(row: Sequence[str]) -> int:
    """Cells up to the last that is not empty."""
    return max((place for place, cell in enumerate(row, 1) if cell), default=0)


def _usual(rows: Sequence[Sequence[str]]) -> tuple[int, int]:
    """The width that most rows have, and how many have it; the larger of equals."""
    counted = Counter(_width(row) for row in rows)
    del counted[0]
    return max(((width, count) for width, count in counted.items()), key=lambda pair: pair[::-1], default=(0, 0))


def _separator(text: str) -> str:
    """The sign by which most rows have the same number of cells, and more than one; a comma if none does.

    Of equals, one that is in the first line: in 1;2,5 both separate as often.
    """
    counted = {sign: _usual([row for row, _ in _rows(text, sign)]) for sign in SEPARATORS}
    fitting = {sign: count for sign, (width, count) in counted.items() if width > 1}
    return max(fitting, key=lambda sign: (fitting[sign], sign in text.partition("\n")[0]), default=",")


def _header(path: Path, text: str, separator: str) -> Header:
    rows = _rows(text, separator)
    top = _top([row for row, _ in rows])
    above = [separator.join(row) for row, _ in rows[:top] if _width(row)]
    notes = [f"{path.name}: {len(above)} lines above the header are left out, from {above[0]!r} on."] if above else []
    if not rows:
        return Header([], 0, 0, False, ())
    levels = _levels([row for row, _ in rows[top : top + 5]])
    names = rows[top][0]
    if levels > 1:
        names, said = _joined([row for row, _ in rows[top : top + levels]])
        notes.append(f"{path.name}: {said}")
    given = [name for name in names if name]
    numbered = given == [str(place) for place in range(len(given))]  # as pandas names columns that have no names
    headless = bool(names) and not numbered and all(DATUM.match(name) for name in given)
    names = _all_named([*names, *_surplus(names, [row for row, _ in rows[top + levels :]])])
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{path}: the header names {name!r} {names.count(name)} times; give each column a name")
    return Header(names, top + levels, rows[top + levels - 1][1], headless, tuple(notes))


def _top(rows: Sequence[Sequence[str]]) -> int:
    """The place of the header: the first row as wide as the data, or narrower by one where no other may be it."""
    usual, _ = _usual(rows)
    for place, row in enumerate(rows):
        later = next((other for other in rows[place + 1 :] if _width(other)), [])
        preamble = _width(later) >= usual and _is_names(later)
        wide = _width(row) >= usual
        if (wide or _width(row) == usual - 1 > 1) and not (preamble and (not wide or row[0].startswith("#"))):
            return place
    return 0


def _is_names(row: Sequence[str]) -> bool:
    return not any(DATUM.match(cell) for cell in row)


def _levels(rows: Sequence[Sequence[str]]) -> int:
    """Rows of the header: several where the last names the first column alone, as pandas writes columns of levels."""
    for place, row in enumerate(rows[1:4], 1):
        if len(row) > 1 and row[0] and _width(row) == 1 and not any(sign.isdigit() for sign in row[0]):
            return place + 1
    return 1


def _joined(rows: Sequence[Sequence[str]]) -> tuple[list[str], str]:
    """The names of a header of several rows, without a level that is the same in all; and a sentence about it."""
    *levels, (first, *_) = rows
    constant = [level for level in levels[1:] if len({cell for cell in level[1:] if cell}) == 1]
    telling = [level for level in levels if level not in constant]
    columns = zip(*(level[1:] for level in telling), strict=False)
    names = [first, *(" ".join(dict.fromkeys(filter(None, column))) for column in columns)]
    same = "".join(f"; {level[0] or 'a level'} is {level[1]} in all" for level in constant)
    return names, f"the header has {len(rows)} lines and names {', '.join(names)}{same}."


def _surplus(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Empty names for empty cells that rows have at their end beyond the header: every line ends in a separator."""
    longest = max((len(row) for row in rows), default=0)
    beyond = (cell for row in rows for cell in row[len(names) :])
    return [""] * max(0, longest - len(names)) if not any(beyond) else []


def _all_named(names: list[str]) -> list[str]:
    """The names, with that of pandas for every column that has none: `Unnamed: 0` for the index of an export."""
    return [name or f"Unnamed: {place}" for place, name in enumerate(names)]


def _cells(path: Path, text: str, separator: str, header: Header) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            cells = pd.read_csv(
                io.BytesIO(text.encode()), sep=separator, header=None, names=header.names, skiprows=header.rows,
                index_col=False, dtype=str, keep_default_na=False, skip_blank_lines=False,
            )  # fmt: skip
    except pd.errors.EmptyDataError:
        cells = pd.DataFrame(columns=header.names, dtype=str)
    except pd.errors.ParserError as error:
        raise ConfigError(f"{path}: {error}") from error
    except pd.errors.ParserWarning as error:
        count = len(header.names)
        raise ConfigError(f"{path}: its rows have more cells than the header has names ({count})") from error
    return cells.fillna("").set_axis(range(header.lines + 1, header.lines + 1 + len(cells)))


def _without_empty(path: Path, cells: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The table without rows and last columns that hold nothing."""
    notes, kept = [], list(cells.columns)
    rows = cells[kept[0]].str.strip() == ""
    for name in kept[1:] if rows.any() else ():
        rows &= cells[name].str.strip() == ""
    if inside := int(rows[: (~rows).to_numpy().nonzero()[0].max(initial=0)].sum()):
        notes.append(f"{path.name}: {inside} empty lines between the rows are left out.")
    cells = cells[~rows]
    while len(kept) > 1 and kept[-1] == f"Unnamed: {len(kept) - 1}" and not cells[kept[-1]].str.strip().any():
        kept.pop()
    if len(kept) < len(cells.columns):
        notes.append(f"{path.name}: lines end in a separator with nothing after it; the empty last column is left out.")
    return cells[kept], notes
