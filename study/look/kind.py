"""Whether a file is a table of series, a corpus with labels, or running text."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from study.data.files import lines, read
from study.data.tables.sheet import DATUM, SAMPLE, SEPARATORS

KINDS = ("series", "labels", "text")
MOST = 0.9
"""Share of the lines that must fit a kind."""


def kind_of(path: Path) -> str:
    """The kind of a file, by its name where that says it, else by its first lines."""
    if ".csv" in path.suffixes or ".tsv" in path.suffixes:
        return "series"
    start = lines(read(path).text)[: 10 * SAMPLE]
    return "labels" if is_labelled(start) or is_tagged(start) else "series" if _is_table(start) else "text"


def is_labelled(start: Sequence[str]) -> bool:
    """Whether there is a word a line, with as many columns in every one."""
    columns = [len(line.split()) for line in start if line.strip() and not line.startswith(("#", "-DOCSTART-"))]
    width, count = _usual(columns)
    return width > 1 and count >= MOST * len(columns) and "" in map(str.strip, start[:-1])


def is_tagged(start: Sequence[str]) -> bool:
    """Whether lines are sentences of word/tag."""
    words = [word for line in start for word in line.split()]
    tagged = [word for word in words if word.rpartition("/")[0] and not word.endswith("/")]
    return len(words) > 1 and len(tagged) >= MOST * len(words)


def _is_table(start: Sequence[str]) -> bool:
    """Whether lines have as many cells, and most of them a number."""
    rows = [line for line in start if line.strip()]
    for sign in SEPARATORS:
        cells = [line.split(sign) for line in rows]
        width, count = _usual([len(row) for row in cells])
        numbers = sum(any(DATUM.match(cell.strip(' "')) for cell in row) for row in cells)
        if width > 1 and count >= MOST * len(rows) and numbers >= MOST * len(rows) - 3:
            return True
    return bool(rows) and sum(bool(DATUM.fullmatch(line[:1])) for line in rows) >= MOST * len(rows)


def _usual(widths: Sequence[int]) -> tuple[int, int]:
    return Counter(widths).most_common(1)[0] if widths else (0, 0)
