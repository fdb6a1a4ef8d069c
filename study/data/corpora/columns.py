"""Corpora of one word a line and an empty line after every sentence: CoNLL-U and its older relatives."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from study.data import read_lines
from study.errors import ConfigError

REMARK = re.compile(r"#(\s|#|$)")
"""A `#` that stands alone."""
COMMENT = re.compile(r"# +id\s|#\s+new(doc|par)\b|#+\s*[\w.:-]+\s+=\s|#+\s+[\w.:-]+\s*=")
"""`# id ...` of MultiCoNER; `# newdoc` and `# key = value` of CoNLL-U."""


class Corpus(NamedTuple):
    """Sentences end to end: the words, the label of each, and how many words each sentence has."""

    words: list[str]
    labels: list[str]
    lengths: list[int]


def read_conllu(path: Path, word: int = 2, label: int = 4) -> Corpus:
    """CoNLL-U (universaldependencies.org/format.html): multiword tokens and empty nodes are no steps.

    Args:
        path: of the file.
        word: number of the column of words, from 1: FORM.
        label: number of the column of labels, from 1: UPOS.
    """
    lines = ["" if line.startswith("#") else line for line in read_lines(path)]
    rows = [line.split("\t") if line else [] for line in lines]
    _refuse_ragged(path, rows)
    return _corpus(path, [row for row in rows if not row or row[0].isdigit()], word, label)


def read_columns(path: Path, word: int, label: int, ragged: bool = False) -> Corpus:
    """Columns between tabs or, where there are none, spaces; comments and `-DOCSTART-` lines (CoNLL-2003) are no steps.

    Comments begin with `#`, stand at the start of a sentence, or below such a comment, and
      - have another number of columns than the other lines, and a space or tab after the `#`; or
      - are written as `# id ...` (MultiCoNER) or `# key = value` (CoNLL-U), and what stands in the column of labels is
        no label of another line.
    Every other line that begins with `#` is a word: `# SYM`, `#1 X`, `#EU NNP B-ORG`.

    Args:
        path: of the file.
        word: number of the column of words, from 1.
        label: number of the column of labels, from 1; 0: the last.
        ragged: lines may have different numbers of columns; there are no comments.

    Raises:
        ConfigError: a line has another number of columns than the others, or may be a comment as well as a word.
    """
    lines = read_lines(path)
    plain = [line for line in lines if not line.startswith("#")]
    separator = re.compile("\t" if any("\t" in line for line in plain or lines) else " +")
    rows = [separator.split(line.rstrip()) if line.strip() else [] for line in lines]
    rows = [[] if row and row[0].split()[:1] == ["-DOCSTART-"] else row for row in rows]
    if not ragged:
        rows = _without_comments(path, lines, rows, label)
        _refuse_ragged(path, rows)
    return _corpus(path, rows, word, label)


class Plain(NamedTuple):
    """What the lines are like that do not begin with `#`.

    Attributes:
        width: columns of most of them.
        values: what every column of those holds.
        label: number of the column of labels, from 1.
    """

    width: int
    values: list[set[str]]
    label: int

    def has_label(self, row: list[str]) -> bool:
        """Whether the label of a row is one of theirs."""
        return 0 <= self.label - 1 < len(self.values) and row[self.label - 1] in self.values[self.label - 1]

    def is_strange(self, row: list[str]) -> bool:
        """Whether nothing in a row but its word is like another line; of two columns: it has a number for a label.

        `# SYM` may be the one word with its label; `# 12` is rather a count of sentences.
        """
        alike = any(value in column for value, column in zip(row[1:], self.values[1:], strict=False))
        return bool(self.values) and not alike and (self.width > 2 or row[-1].isdigit())


def _without_comments(path: Path, lines: list[str], rows: list[list[str]], label: int) -> list[list[str]]:
    """The rows with an empty one for every comment; see `read_columns`."""
    words = [row for row in rows if row and not row[0].startswith("#")]
    width = _width(words or rows)
    columns = zip(*(row for row in words if len(row) == width), strict=True)
    plain = Plain(width, [set(column) for column in columns], label or width)
    kept: list[list[str]] = []
    for number, (line, row) in enumerate(zip(lines, rows, strict=True), 1):
        marked, first = line.startswith("#") and bool(row), not kept or not kept[-1]
        kept.append([] if marked and _is_comment(f"{path}, line {number}", line, row, plain, first) else row)
    return kept


def _is_comment(place: str, line: str, row: list[str], plain: Plain, first: bool) -> bool:
    """Whether a line that begins with `#` is a comment.

    Args:
        place: of the line, for the refusal.
        line: as it stands.
        row: its columns.
        plain: what the others are like.
        first: it stands at the start of a sentence.

    Raises:
        ConfigError: it may be a comment and a word.
    """
    alone, styled = REMARK.match(line) is not None, COMMENT.match(line) is not None
    if len(row) != plain.width:
        return first and alone
    if styled and first and not plain.has_label(row):
        return True
    if styled:
        doubtful = first or not plain.has_label(row)
    else:
        doubtful = first and alone and "\t" not in line and plain.is_strange(row)
    if doubtful:
        raise ConfigError(
            f"{place}: {line!r} may be a comment, or a word with columns {', '.join(row[1:])}; delete the line if it "
            "is a comment; if it is a word, write the columns of the file between tabs"
        )
    return False


def _width(rows: list[list[str]]) -> int:
    """The number of columns that most rows have, the earlier of equals; 0 where there is no row."""
    return max(Counter(len(row) for row in rows if row).items(), key=lambda pair: pair[1], default=(0, 0))[0]


def _refuse_ragged(path: Path, rows: list[list[str]]) -> None:
    expected = _width(rows)
    for number, row in enumerate(rows, 1):
        if row and len(row) != expected:
            others = "the lines before" if any(rows[: number - 1]) else "the other lines"
            raise ConfigError(f"{path}, line {number}: {len(row)} columns, {others} have {expected}")


def _corpus(path: Path, rows: list[list[str]], word: int, label: int) -> Corpus:
    """Sentences are what stands between empty rows."""
    steps = [row for row in rows if row]
    if not steps:
        raise ConfigError(f"{path}: there is no sentence in it")
    if max(word, label) > len(steps[0]):
        raise ConfigError(f"{path}: there is no column {max(word, label)}, a line has {len(steps[0])}")
    lengths, length = [], 0
    for row in [*rows, []]:
        if row:
            length += 1
        elif length:
            lengths.append(length)
            length = 0
    return Corpus([row[word - 1] for row in steps], [row[label - 1] for row in steps], lengths)
