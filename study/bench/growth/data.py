"""Larger files: what it takes to make a task ready and to draw its first batches."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from study.bench.composed import composed
from study.bench.growth.contract import Costs, GrowthRow, Meter
from study.tasks import build

BATCHES = 10
WORDS, LETTERS, BLOCK = 20_000, 11, 1 << 18
"""Words of the drawn language, of as many letters at most, and how many are written at a time."""
SENTENCE, LABELS = 20, 12


def made_ready(write: Callable[[Path, int], None], keys: Sequence[str], folder: Path, size: int) -> Costs:
    """Write a file, then read it as a task.

    Args:
        write: a file of a size.
        keys: overrides of the task that reads it.
        folder: for the file.
        size: of the file, as its row counts.
    """
    write(folder / "warm", 20_000)
    _first_batches(folder / "warm", keys)  # what has to be imported
    write(file := folder / "file", size)
    meter, megabytes = Meter(), file.stat().st_size / 1e6
    _first_batches(file, keys)
    costs = {"CPU s": meter.seconds(), "MB more": meter.megabytes(), "times the file": meter.megabytes() / megabytes}
    file.unlink()
    return costs


def _first_batches(file: Path, keys: Sequence[str]) -> None:
    config = composed(f"task.path={file}", *keys)
    task = build(config.task, config.data, config.seed)
    list(islice(task.batches("train").epoch(0), BATCHES))


def _words(number: int) -> Iterator[np.ndarray]:
    """Words of a drawn language in blocks, frequent ones as frequent as in a natural one (Zipf)."""
    draw = np.random.default_rng(0)
    letters = draw.integers(ord("a"), ord("z") + 1, (WORDS, LETTERS), dtype=np.uint8)
    words = [
        bytes(row[:length]).decode() for row, length in zip(letters, draw.integers(2, LETTERS, WORDS), strict=True)
    ]
    shares = 1 / np.arange(1, WORDS + 1)
    for first in range(0, number, BLOCK):
        size = min(BLOCK, number - first)
        yield np.array(words, dtype=object)[draw.choice(WORDS, size, p=shares / shares.sum())]


def write_text(file: Path, characters: int) -> None:
    """Lines of 20 words."""
    left = characters
    with file.open("w") as opened:
        for block in _words(characters):
            lines = [" ".join(block[first : first + SENTENCE]) for first in range(0, len(block), SENTENCE)]
            left -= opened.write(("\n".join(lines) + "\n")[:left])
            if not left:
                return


def write_corpus(file: Path, lines: int) -> None:
    """A word and its label a line, an empty line after every 20."""
    with file.open("w") as opened:
        for block in _words(lines):
            rows = [f"{word} L{len(word) % LABELS}\n" for word in block]
            opened.writelines(
                line for place, row in enumerate(rows, 1) for line in (row, "\n")[: 1 + (place % SENTENCE == 0)]
            )


def write_table(file: Path, rows: int) -> None:
    """A time, a minute apart, and a random walk with three decimals a row."""
    import pyarrow as pa
    from pyarrow import csv

    times = np.datetime64("2000-01-01T00:00:00", "s") + 60 * np.arange(rows)
    walk = np.round(np.random.default_rng(0).normal(size=rows).cumsum(), 3)
    csv.write_csv(pa.table({"date": times, "value": walk}), file)


def _row(about: str, largest: int, write: Callable[[Path, int], None], *keys: str) -> GrowthRow:
    return GrowthRow(about, (largest // 100, largest // 10, largest), partial(made_ready, write, keys))


COLUMNS = ("task=labelling_conll", "task.format=columns", "task.word_column=1", "task.label_column=2")
ROWS = {
    "characters": _row("characters of a text", 100_000_000, write_text, "task=language_text", "task.level=char"),
    "words": _row(
        "characters of a text, read as words", 100_000_000, write_text, "task=language_text", "task.level=word"
    ),
    "lines": _row("lines of a labelled corpus", 3_000_000, write_corpus, *COLUMNS),
    "table": _row("rows of a table", 10_000_000, write_table, "task=forecasting_csv", "task.targets=[value]"),
}
