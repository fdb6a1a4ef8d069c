"""Corpora of one word a line and an empty line after every sentence: CoNLL-U and its older relatives."""

import re
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

    Args:
        path: of the file.
        word: number of the column of words, from 1.
        label: number of the column of labels, from 1; 0: the last.
        ragged: lines may have different numbers of columns.
    """
    separator = re.compile("\t" if any("\t" in line for line in read_lines(path)) else " +")
    rows = [separator.split(line.rstrip()) if line.strip() else [] for line in read_lines(path)]
    if not ragged:
        _refuse_ragged(path, rows)
    return _corpus(path, [row for row in rows if not row or row[0] != "-DOCSTART-"], word, label)


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
