"""A committed `results.csv`, read back as the comparisons that the report made of its runs."""

import math
from pathlib import Path

import pandas as pd

from study.errors import ConfigError
from study.report.data.comparison import KNOWN, Comparison, rank
from study.report.spreadsheet import read_texts

NUMBERS = ("seed", "steps", "updates", "seconds", "decay", "horizon", "lyapunov", "lyapunov_start", "autonomous",
           "value", "validation", "baseline", "parameters", "state_size")  # fmt: skip
"""Columns that a comparison reads as numbers; NaN where the version that wrote the file had none."""
TEXTS = ("outcome", "ending", "verdict", "solved", "opponents")


def comparisons(file: Path) -> list[Comparison]:
    """The runs that count, one comparison a task, in the order of their names.

    Raises:
        ConfigError: the file has no such runs, or is ranked by a measure whose direction is not known.
    """
    rows = pd.DataFrame(read_texts(file))
    counting = rows[rows["counts"] == "True"] if "counts" in rows else rows[:0]
    if not len(counting):
        raise ConfigError(f"{file}: no row that counts; `make report` writes them")
    runs = counting.set_index("run_id")
    numbers = {name: pd.to_numeric(runs[name]) if name in runs else math.nan for name in NUMBERS}
    texts = {name: runs.get(name, "") for name in TEXTS}
    return [_compare(file, str(task), group) for task, group in runs.assign(**numbers, **texts).groupby("task")]


def _compare(file: Path, task: str, runs: pd.DataFrame) -> Comparison:
    measure, family = str(runs["measure"].iloc[0]), str(runs["family"].iloc[0])
    if measure not in KNOWN:
        raise ConfigError(f"{file}: measure {measure!r} of {task} is none of {', '.join(KNOWN)}")
    maximize = KNOWN[measure] == "maximize"
    return Comparison(task, family, measure, maximize, runs, rank(runs, maximize))
