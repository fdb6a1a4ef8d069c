"""A corpus with labels: its columns, label scheme, vocabulary, longest sentence, and how it is trained on."""

from collections import Counter
from pathlib import Path
from typing import Any

from study.data.corpora.columns import Corpus, read_columns, read_conllu, read_tagged, split_corpus
from study.data.corpora.comments import usual_width
from study.data.corpora.schemes import scheme
from study.data.corpora.steps import number_words
from study.data.files import lines, read
from study.data.tables.sheet import SAMPLE
from study.errors import ConfigError
from study.look.kind import is_tagged
from study.look.seen import Seen, value
from study.schema.defaults import option
from study.schema.task.base import SplitByShares

TASK = "labelling_conll"


def look(path: Path) -> Seen:
    """What is seen in a corpus."""
    facts: dict[str, Any] = {"encoding": read(path).encoding}
    try:
        form, word, label = _form(lines(read(path).text)[: 10 * SAMPLE])
        facts |= {"format": form} | ({} if form == "tagged" else {"word column": word, "label column": label})
        corpus = _corpus(path, form, word, label)
        facts |= _facts(corpus)
    except ConfigError as error:
        return Seen("labels", facts, (), str(error))
    columns = [] if form == "tagged" else [f"task.word_column={word}", f"task.label_column={label}"]
    typed = [f"task={TASK}", f"task.path={value(str(path))}", f"task.format={form}", *columns]
    return Seen("labels", facts, corpus.notes, "", typed)


def _form(written: list[str]) -> tuple[str, int, int]:
    """The format, and the numbers of the columns of words and labels."""
    if is_tagged(written):
        return "tagged", 1, 2
    rows = [line.split("\t") if "\t" in line else line.split() for line in written if not line.startswith("#")]
    width = usual_width(rows)
    numbered = [row for row in rows if len(row) == width and row[0].partition("-")[0].partition(".")[0].isdigit()]
    if width == 10 and 2 * len(numbered) > sum(map(bool, rows)):
        return "conllu", 2, 4
    return "columns", 2 if width > 2 and 2 * len(numbered) > sum(map(bool, rows)) else 1, max(width, 2)


def _corpus(path: Path, form: str, word: int, label: int) -> Corpus:
    if form == "tagged":
        return read_tagged(path)
    return read_conllu(path, word, label) if form == "conllu" else read_columns(path, word, label)


def _facts(corpus: Corpus) -> dict[str, Any]:
    """Counts of a corpus, and what the default split knows of its words."""
    keys = option("task", TASK)
    shares = SplitByShares(validation=keys["validation"], test=keys["test"])
    parts = dict(zip(("train", "val", "test"), split_corpus(corpus, shares.ends(len(corpus.lengths))), strict=True))
    words = {split: part.words for split, part in parts.items()}
    _, (known,), unknown = number_words(words, keys["min_count"], 0)
    counted = Counter(corpus.labels).most_common()
    return {
        "sentences": len(corpus.lengths),
        "words": len(corpus.words),
        "longest sentence": max(corpus.lengths),
        "labels": dict(counted),
        "scheme": scheme(corpus.label_rows()) or "none: labels are classes",
        "vocabulary": len(known) + 1,
        "unknown words": {split: round(share, 4) for split, share in unknown.items()},
    }
