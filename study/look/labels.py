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
from study.look.seen import SPLITS, Seen, value
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
        parts, shares = _split(path, corpus)
        facts |= _facts(corpus, parts)
    except ConfigError as error:
        return Seen("labels", facts, (), str(error))
    columns = [] if form == "tagged" else [f"task.word_column={word}", f"task.label_column={label}"]
    typed = [f"task={TASK}", f"task.path={value(str(path))}", f"task.format={form}", *columns, *shares]
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


def _split(path: Path, corpus: Corpus) -> tuple[dict[str, Corpus], list[str]]:
    """The parts by the default shares, or of few sentences by larger ones, and the overrides that say so.

    Raises:
        ConfigError: there are fewer sentences than parts.
    """
    keys = option("task", TASK)
    default = keys["validation"], keys["test"]
    for shares in (default, (0.2, 0.2), (0.34, 0.33)):
        ends = SplitByShares(validation=shares[0], test=shares[1]).ends(len(corpus.lengths))
        parts = dict(zip(SPLITS, split_corpus(corpus, ends), strict=True))
        if all(part.lengths for part in parts.values()):
            changed = [f"task.validation={shares[0]}", f"task.test={shares[1]}"]
            return parts, [] if shares == default else changed
    count = len(corpus.lengths)
    raise ConfigError(f"{path}: {count} sentences are too few to be split into training, validation and test")


def _facts(corpus: Corpus, parts: dict[str, Corpus]) -> dict[str, Any]:
    """Counts of a corpus, and what its training part knows of the words of the others."""
    words = {split: part.words for split, part in parts.items()}
    _, (known,), unknown = number_words(words, option("task", TASK)["min_count"], 0)
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
