"""Corpora of one word a line and an empty line after every sentence, or of a sentence of word/tag a line."""

import re
import sys
from collections.abc import Sequence
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from study.data.corpora.comments import usual_width, without_comments
from study.data.files import each_line, read
from study.errors import ConfigError

WORDS = frozenset(("word", "words", "token", "tokens", "form", "text"))
LABELS = frozenset(("label", "labels", "tag", "tags", "ner", "ner_tag", "ner_tags", "pos", "upos", "xpos", "entity"))
"""Names, in lower case, by which a first line is the header of the columns."""


class NoColumn(ConfigError):
    """A file has fewer columns than are asked for."""


class Corpus(NamedTuple):
    """Sentences end to end.

    Attributes:
        words: of all sentences.
        labels: the label of each.
        lengths: how many words each sentence has.
        notes: what had to be decided to read them, in sentences.
    """

    words: list[str]
    labels: list[str]
    lengths: list[int]
    notes: tuple[str, ...] = ()

    def label_rows(self) -> list[list[str]]:
        """The labels of every sentence."""
        ends = [0, *accumulate(self.lengths)]
        return [self.labels[first:end] for first, end in pairwise(ends)]


def split_corpus(corpus: Corpus, ends: Sequence[int]) -> list[Corpus]:
    """Training, validation and test part, by the first sentences of the last two."""
    words, labels, lengths, _ = corpus
    places = [0, *ends, len(lengths)]
    steps = [sum(lengths[:place]) for place in places]
    return [
        Corpus(words[steps[i] : steps[i + 1]], labels[steps[i] : steps[i + 1]], lengths[places[i] : places[i + 1]])
        for i in range(3)
    ]


def read_conllu(path: Path, word: int = 2, label: int = 4) -> Corpus:
    """CoNLL-U (universaldependencies.org/format.html): multiword tokens and empty nodes are no steps.

    Args:
        path: of the file.
        word: number of the column of words, from 1: FORM.
        label: number of the column of labels, from 1: UPOS.
    """
    text, _, notes = read(path)
    written = ["" if line.startswith("#") else line.strip(" ") for line in each_line(text)]
    if any(written) and not any("\t" in line for line in written):
        notes += (f"{path.name}: there is no tab; columns are what blanks separate.",)
        written = [re.sub(" +", "\t", line) for line in written]
    rows = [[*map(sys.intern, line.split("\t"))] if line.strip() else [] for line in written]
    _refuse_ragged(path, rows)
    _refuse_joined(path, rows)
    words = [row for row in rows if not row or row[0].isdigit()]
    if any(rows) and not any(words):
        raise ConfigError(
            f"{path}: there is no sentence in it: in CoNLL-U a line begins with the number of its word; "
            "task.format=columns reads other columns, task.format=tagged reads word/tag"
        )
    notes += _empty(path, words, word, label)
    return _corpus(path, words, word, label, notes)


def _refuse_joined(path: Path, rows: list[list[str]]) -> None:
    """Refuse sentences with no empty line between them: in each, words are numbered from 1."""
    inside = False
    for number, row in enumerate(rows, 1):
        if row and row[0] == "1" and inside:
            raise ConfigError(f"{path}, line {number}: a word has the number 1 and no empty line before it")
        inside = bool(row) and (inside or row[0].isdigit())


def read_columns(path: Path, word: int, label: int, ragged: bool = False) -> Corpus:
    """Columns between tabs or, where there are none, spaces; comments and `-DOCSTART-` lines (CoNLL-2003) are no steps.

    Where tabs and spaces are mixed, so that lines would have different numbers of columns, both separate. A first line
    that names the columns of words and labels is left out, wherever it is repeated.

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
    text, _, notes = read(path)
    written = [*map(sys.intern, each_line(text))]
    rows = _split(written)
    if not ragged:
        if _widths(rows) > 1 and _widths(either := [line.split() for line in written]) == 1:
            notes += (f"{path.name}: tabs and blanks are mixed; columns are what either separates.",)
            rows = either
        rows = without_comments(path, written, [_without_document(row) for row in rows], label)
        _refuse_ragged(path, rows)
        if _is_header(first := next((row for row in rows if row), []), word, label):
            again = f" ({repeats} more like it too)" if (repeats := rows.count(first) - 1) else ""
            notes += (f"{path.name}: the first line, {' '.join(first)!r}, names the columns and is no word{again}.",)
            rows = [[] if row == first else row for row in rows]
        notes += _empty(path, rows, word, label)
    return _corpus(path, [_without_document(row) for row in rows], word, label, notes)


def read_tagged(path: Path) -> Corpus:
    """A sentence a line, of words with their tags behind the last slash: The/at jury/nn 1/2/cd (Brown corpus).

    Raises:
        ConfigError: a word has no slash; with its line.
    """
    text, _, notes = read(path)
    parted = cache(lambda word: word.rpartition("/"))  # of equal words one
    sentences = [[parted(word) for word in line.split()] for line in each_line(text)]
    for number, sentence in enumerate(sentences, 1):
        if bare := next(("".join(word) for word in sentence if not (word[0] and word[2])), ""):
            raise ConfigError(f"{path}, line {number}: {bare!r} is not written as word/tag (task.format=tagged)")
    rows = [row for sentence in sentences for row in ([word, tag] for word, _, tag in sentence)]
    whole = _corpus(path, rows, 1, 2, notes)
    return whole._replace(lengths=[len(sentence) for sentence in sentences if sentence])


def _split(written: list[str]) -> list[list[str]]:
    """The columns of every line: between tabs if a line has one that is no comment, else between spaces.

    Equal lines share their columns: in a corpus most come often.
    """
    plain = [line.strip() for line in written if not line.startswith("#")]
    separator = re.compile("\t" if any("\t" in line for line in plain or written) else " +")
    split = cache(lambda line: [*map(sys.intern, separator.split(line.rstrip()))] if line.strip() else [])
    return [split(line) for line in written]


def _without_document(row: list[str]) -> list[str]:
    return [] if row and "-DOCSTART-" in row[0] and row[0].split()[0] == "-DOCSTART-" else row


def _widths(rows: list[list[str]]) -> int:
    """How many different numbers of columns there are, in lines that are no comments and no marks of documents."""
    return len({len(row) for row in map(_without_document, rows) if row and not row[0].startswith("#")})


def _is_header(row: list[str], word: int, label: int) -> bool:
    if max(word, label) > len(row) or not row:
        return False
    return row[word - 1].lower() in WORDS and row[label - 1].lower() in LABELS


def _refuse_ragged(path: Path, rows: list[list[str]]) -> None:
    expected = usual_width(rows)
    for number, row in enumerate(rows, 1):
        if row and len(row) != expected:
            others = "the lines before" if any(rows[: number - 1]) else "the other lines"
            raise ConfigError(f"{path}, line {number}: {len(row)} columns, {others} have {expected}")


def _empty(path: Path, rows: list[list[str]], word: int, label: int) -> tuple[str, ...]:
    """A sentence about words without a character, as between two tabs.

    Raises:
        ConfigError: a label has none.
    """
    lines = {
        column: [n for n, row in enumerate(rows, 1) if column <= len(row) and not row[column - 1]]
        for column in (word, label)
    }
    if lines[label]:
        raise ConfigError(f"{path}, line {lines[label][0]}: its label, column {label}, is empty")
    if not (words := lines[word]):
        return ()
    return (f"{path.name}: {len(words)} words are empty, the first in line {words[0]} (task.word_column = {word}).",)


def _corpus(path: Path, rows: list[list[str]], word: int, label: int, notes: tuple[str, ...]) -> Corpus:
    """Sentences are what stands between empty rows."""
    steps = [row for row in rows if row]
    if not steps:
        raise ConfigError(f"{path}: there is no sentence in it")
    if max(word, label) > len(steps[0]):
        raise NoColumn(
            f"{path}: there is no column {max(word, label)}, a line has {len(steps[0])} "
            "(task.word_column, task.label_column: numbered from 1)"
        )
    lengths, length = [], 0
    for row in [*rows, []]:
        if row:
            length += 1
        elif length:
            lengths.append(length)
            length = 0
    return Corpus([row[word - 1] for row in steps], [row[label - 1] for row in steps], lengths, notes)
