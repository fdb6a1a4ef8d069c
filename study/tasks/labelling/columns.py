"""Corpora of one word a line and an empty line after every sentence: CoNLL-U and its older relatives."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from study.data import read_lines
from study.errors import ConfigError


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
    """Columns between tabs or, where there are none, spaces; `-DOCSTART-` lines of CoNLL-2003 are no steps.

    Nor are comments: lines before a sentence that start with `# ` and have another number of columns than other lines,
    or a label that no other line has, such as `# id 123 domain=en` of MultiCoNER. So the word `#` may start a sentence.

    Args:
        path: of the file.
        word: number of the column of words, from 1.
        label: number of the column of labels, from 1; 0: the last.
        ragged: lines may have different numbers of columns.
    """
    lines = read_lines(path)
    doubtful = set(_before_sentences(lines))
    separator = re.compile("\t" if any("\t" in line for n, line in enumerate(lines) if n not in doubtful) else " +")
    rows = [separator.split(line.rstrip()) if line.strip() else [] for line in lines]
    for n in _comments(rows, doubtful, label, ragged):
        rows[n] = []
    if not ragged:
        _refuse_ragged(path, rows)
    return _corpus(path, [row for row in rows if not row or row[0] != "-DOCSTART-"], word, label)


def _before_sentences(lines: list[str]) -> Iterator[int]:
    """The lines that may be comments: those between the end of a sentence and the next that start with `# `."""
    starting = True
    for n, line in enumerate(lines):
        hash_first = re.match(r"#[ \t]", line) is not None
        if starting and hash_first:
            yield n
        starting = not line.strip() or (starting and hash_first)


def _comments(rows: list[list[str]], doubtful: set[int], label: int, ragged: bool) -> list[int]:
    """Those of the doubtful lines that have not the columns, or not a label, of the other lines."""
    certain = [row for n, row in enumerate(rows) if row and n not in doubtful]
    widths, labels = {len(row) for row in certain}, {row[label - 1] for row in certain if len(row) >= label}
    fits = {n for n in doubtful if len(rows[n]) >= label and rows[n][label - 1] in labels}
    return [n for n in doubtful if n not in fits or not (ragged or len(rows[n]) in widths)]


def _refuse_ragged(path: Path, rows: list[list[str]]) -> None:
    expected = next((len(row) for row in rows if row), 0)
    for number, row in enumerate(rows, 1):
        if row and len(row) != expected:
            raise ConfigError(f"{path}, line {number}: {len(row)} columns, the lines before have {expected}")


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
