"""Two runs compared number by number: every history value, every point of every metric, every table, the weights."""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from study.tracking.reader import Logged

HISTORY = "gradients.parquet"
METRICS = "metrics"
SERIES = ["source", "key"]
PLACE = [*SERIES, "update", "nth"]
JUDGEMENT = ("outcome", "verdict", "clipping")
FINAL = "weights_final"
MARKS = ("data_digest", "weights_initial", FINAL, *JUDGEMENT)
NOT_COMPARED = re.compile("seconds|/opponent$")
"""Metrics that measure time are never the same twice; those of opponents are no bits of the run's training."""


class Deviation(NamedTuple):
    """One value that is not the same.

    Attributes:
        key: the source and the name of the value in it.
        update: where it was recorded (the row, in a table that counts something else; 0: the whole run).
        then: None where nothing was recorded.
        here: likewise.
    """

    key: str
    update: int
    then: float | str | None
    here: float | str | None

    def __str__(self) -> str:
        """In words."""
        then, here = ("nothing" if value is None else repr(value) for value in (self.then, self.here))
        told = f"{self.key} at update {self.update}: {then} then, {here} here"
        if isinstance(self.then, float) and isinstance(self.here, float):
            return f"{told}, distance {abs(self.then - self.here):.3g}"
        return told


@dataclass(frozen=True)
class Comparison:
    """What came of comparing.

    Attributes:
        values: recorded then.
        same: how many of them are the same here.
        first: the first value of the first update that is not, or None.
        tolerance: see `compare`.
    """

    values: int
    same: int
    first: Deviation | None
    tolerance: float

    @property
    def identical(self) -> bool:
        """Whether every value is the same; a run that recorded nothing proves nothing."""
        return self.values == self.same > 0

    def __str__(self) -> str:
        """In words: where they part, if they do, and on the last line what it came to."""
        same = f"equal within {self.tolerance:g}" if self.tolerance else "identical"
        counts = f"{self.same:,} of {self.values:,} values"
        if self.identical:
            return f"{same}: {counts}"
        if self.first is None:
            return f"different: {counts}; the run recorded nothing that could be compared"
        return f"first difference: {self.first}\ndifferent: {counts} are {same}"


def compare(then: Logged, here: Logged, tolerance: float = 0.0) -> Comparison:
    """Compare what `then` recorded with what `here` did.

    A measure that only `here` has was not promised. More points of a measure that both have are deviations, unless
    `then` was cut short: there the comparison ends where the records do.

    Args:
        then: the original.
        here: the run made again.
        tolerance: 0: bit for bit. Else |a - b| <= tolerance max(|a|, |b|) is the same, and the digests of weights,
            which have no distance, are left out.
    """
    cut = cut_short(then)
    both = _side_by_side(numbers(then), numbers(here), "left" if cut else "outer")
    found = (both["found"] == "both").to_numpy()
    wrong = both[~found | ~_same(both["value_then"].to_numpy(), both["value_here"].to_numpy(), tolerance)]
    marks = [key for key in _marks(then) if not (tolerance and key.startswith("weights"))]
    others = [key for key in marks if then.tags[key] != here.tags.get(key)]
    first = _first(wrong)
    if first is None and others:
        first = Deviation(f"tag {others[0]}", 0, then.tags[others[0]], here.tags.get(others[0]))
    values = len(both) + len(marks)
    return Comparison(values, values - len(wrong) - len(others), first, tolerance)


def numbers(run: Logged) -> pd.DataFrame:
    """Every number a run recorded: where (source, key, update, and the how-manieth there) and its value, float64."""
    names = sorted(
        (name for name in run.files() if name.endswith(".parquet")), key=lambda name: (name != HISTORY, name)
    )
    points = pd.DataFrame(list(run.points()), columns=["key", "update", "value"]).assign(source=METRICS)
    points = points[points["key"].map(lambda key: NOT_COMPARED.search(key) is None).astype(bool)]
    parts = [_melted(name, run.table(name)) for name in names]
    recorded = pd.concat([*parts, points.astype({"update": int, "value": float})], ignore_index=True)
    return recorded.assign(nth=recorded.groupby(PLACE[:3]).cumcount())


def _melted(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table with one row a number; rows are numbered where no column says the update.

    What labels a row (of which layer it is) is part of its key: rows with labels of which `then` knew nothing, which
    newer code may add, are other measures.
    """
    updates = table.pop("update") if "update" in table else pd.Series(range(1, len(table) + 1))
    values = table.select_dtypes(["number", "bool"]).astype(float)
    labels = [f" of {' '.join(map(str, row))}" if row else "" for row in _labels(table)]
    long = values.assign(update=updates.astype(int), label=labels).melt(["update", "label"], var_name="key")
    return long.assign(key=long["key"] + long["label"], source=name).drop(columns="label")


def _labels(table: pd.DataFrame) -> list[tuple[object, ...]]:
    texts = table.select_dtypes(exclude=["number", "bool"])
    return list(texts.itertuples(index=False, name=None)) or [()] * len(table)


def _marks(then: Logged) -> list[str]:
    """The tags to compare. A run that was cut short has no judgement, and weights only where a pruner ended it.

    Anything else may come within an update, and what is made again ends after one.
    """
    ended = () if not cut_short(then) else JUDGEMENT if then.tags.get("outcome") == "pruned" else (FINAL, *JUDGEMENT)
    return [key for key in MARKS if key in then.tags and key not in ended]


def _side_by_side(then: pd.DataFrame, here: pd.DataFrame, how: Literal["left", "outer"]) -> pd.DataFrame:
    """Both values of every place, of the measures that `then` has."""
    promised = then[SERIES].drop_duplicates()
    promised = promised.assign(order=range(len(promised)))
    then, here = then.merge(promised), here.merge(promised)
    return then.merge(here, how, [*PLACE, "order"], suffixes=("_then", "_here"), indicator="found")


def _first(wrong: pd.DataFrame) -> Deviation | None:
    """The first deviation of the first update that has one, the history's before others."""
    if wrong.empty:
        return None
    row = wrong.sort_values(["update", "order", "nth"]).iloc[0]
    then = float(row["value_then"]) if row["found"] != "right_only" else None
    here = float(row["value_here"]) if row["found"] != "left_only" else None
    return Deviation(f"{row['source']} {row['key']}", int(row["update"]), then, here)


def _same(a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
    """Where two float64 arrays are the same; any NaN is the same as any other, -0 is not 0."""
    same = (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))
    if tolerance:
        finite = np.isfinite(a) & np.isfinite(b)
        a, b = a[finite], b[finite]
        same[finite] |= np.abs(a - b) <= tolerance * np.maximum(np.abs(a), np.abs(b))
    return same


def cut_short(run: Logged) -> bool:
    """Whether a run was stopped from outside: by a person, an error, the death of its process, a sweep's pruner."""
    return run.status != "FINISHED" or run.tags.get("outcome") == "pruned"


def last_update(run: Logged) -> int:
    """How far a run came, as far as its records tell: a chart may end before the history does."""
    charted = max((update for _, update, _ in run.points()), default=0)
    return max(charted, len(run.table(HISTORY, ["update"])) if HISTORY in run.files() else 0)
