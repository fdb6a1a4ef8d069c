"""Which lines of a corpus in columns are comments: those that begin with `#` and are no word."""

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from study.data.corpora.schemes import are_entities
from study.errors import ConfigError

REMARK = re.compile(r"#(\s|#|$)")
"""A `#` that stands alone."""
COMMENT = re.compile(r"# +id\s|#\s+new(doc|par)\b|#+\s*[\w.:-]+\s+=\s|#+\s+[\w.:-]+\s*=")
"""`# id ...` of MultiCoNER; `# newdoc` and `# key = value` of CoNLL-U."""


class Plain(NamedTuple):
    """What the lines are like that do not begin with `#`.

    Attributes:
        width: columns of most of them.
        values: what every column of those holds.
        label: number of the column of labels, from 1.
        beside_hash: of two columns, the second where the first is `#`, if no other line has it.
    """

    width: int
    values: list[set[str]]
    label: int
    beside_hash: set[str]

    def has_label(self, row: list[str]) -> bool:
        """Whether the label of a row is one of theirs."""
        return 0 <= self.label - 1 < len(self.values) and row[self.label - 1] in self.values[self.label - 1]

    def is_strange(self, row: list[str]) -> bool:
        """Whether nothing in a row but its word is like another line; of two columns: its label is like none.

        `# SYM` may be the one word with its label; `# 12` is rather a count of sentences, and `# news` beside labels
        of entities, or beside `# sport`, a heading.
        """
        alike = any(value in column for value, column in zip(row[1:], self.values[1:], strict=False))
        if not self.values or alike or self.width > 2:
            return bool(self.values) and not alike
        labels = self.values[-1]
        odd = are_entities(labels | {"O"}) and not are_entities(labels | {"O", row[-1]})
        return row[-1].isdigit() or odd or len(self.beside_hash) > 1


def without_comments(path: Path, lines: list[str], rows: list[list[str]], label: int) -> list[list[str]]:
    """The rows with an empty one for every comment; see `read_columns`."""
    words = [row for row in rows if row and not row[0].startswith("#")]
    width = usual_width(words or rows)
    fitting = [row for row in words if len(row) == width]
    values = [{row[place] for row in fitting} for place in range(width)] if fitting else []
    hashes = (row for line, row in zip(lines, rows, strict=True) if row[:1] == ["#"] and not COMMENT.match(line))
    beside = {row[1] for row in hashes if len(row) == width == 2}
    plain = Plain(width, values, label or width, beside.difference(*values[1:]))
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


def usual_width(rows: list[list[str]]) -> int:
    """The number of columns that most rows have, the earlier of equals; 0 where there is no row."""
    return max(Counter(len(row) for row in rows if row).items(), key=lambda pair: pair[1], default=(0, 0))[0]
