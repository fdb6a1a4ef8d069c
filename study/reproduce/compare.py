"""Two runs compared number by number: every history value, every point of every metric, every table, the weights."""

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from study.tracked import Logged

HISTORY = "gradients.parquet"
METRICS = "metrics"
PLACE = ["source", "key", "update", "nth"]
JUDGEMENT = ("outcome", "verdict")
MARKS = ("data_digest", "weights_initial", "weights_final", *JUDGEMENT)
CLOCK = re.compile("seconds")
"""Metrics that measure time are never the same twice."""


class Deviation(NamedTuple):
    """One value that is not the same.

    Attributes:
        key: the source and the name of the value in it.
        update: where it was recorded (the row, in a table that counts something else; 0: the whole run).
        here: None where nothing was recorded.
    """

    key: str
    update: int
    then: float | str
    here: float | str | None

    def __str__(self) -> str:
        """In words."""
        here = "nothing" if self.here is None else repr(self.here)
        told = f"{self.key} at update {self.update}: {self.then!r} then, {here} here"
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
        """In words."""
        word = f"equal within {self.tolerance:g}" if self.tolerance else "identical"
        counts = f"{word}: {self.same:,} of {self.values:,} values"
        return counts if self.first is None else f"different: {counts}\nfirst: {self.first}"


def compare(then: Logged, here: Logged, tolerance: float = 0.0) -> Comparison:
    """Compare what `then` recorded with what `here` did; what only `here` has was not promised.

    Args:
        then: the original.
        here: the run made again.
        tolerance: 0: bit for bit. Else |a - b| <= tolerance max(|a|, |b|) is the same, and the digests of weights,
            which have no distance, are left out.
    """
    both = numbers(then).merge(numbers(here), "left", PLACE, suffixes=("_then", "_here"), indicator="found")
    found = (both["found"] == "both").to_numpy()
    wrong = both[~found | ~_same(both["value_then"].to_numpy(), both["value_here"].to_numpy(), tolerance)]
    marks = [key for key in MARKS if key in then.tags and not (tolerance and key.startswith("weights"))]
    marks = [key for key in marks if not (cut_short(then) and key in JUDGEMENT)]
    others = [key for key in marks if then.tags[key] != here.tags.get(key)]
    first: Deviation | None = None
    if len(wrong):
        row = wrong.sort_values("update", kind="stable").iloc[0]
        value = float(row["value_here"]) if row["found"] == "both" else None
        first = Deviation(f"{row['source']} {row['key']}", int(row["update"]), float(row["value_then"]), value)
    elif others:
        first = Deviation(f"tag {others[0]}", 0, then.tags[others[0]], here.tags.get(others[0]))
    values = len(both) + len(marks)
    return Comparison(values, values - len(wrong) - len(others), first, tolerance)


def numbers(run: Logged) -> pd.DataFrame:
    """Every number a run recorded: where (source, key, update, and the how-manieth there) and its value, float64.

    The last points of a run that was stopped from outside are left out: the stop, not the training, made them.
    """
    names = [name for name in run.files() if name.endswith(".parquet")]
    points = pd.DataFrame(list(run.points()), columns=["key", "update", "value"]).assign(source=METRICS)
    points = points[[CLOCK.search(key) is None for key in points["key"]]]
    if cut_short(run):
        points = points[points["update"] < points["update"].max()]
    parts = [_melted(name, run.table(name)) for name in sorted(names, key=lambda name: (name != HISTORY, name))] + [
        points.astype({"update": int, "value": float})
    ]
    recorded = pd.concat(parts, ignore_index=True)
    return recorded.assign(nth=recorded.groupby(PLACE[:3]).cumcount())


def _melted(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table with one row a number; rows are numbered where no column says the update."""
    updates = table.pop("update") if "update" in table else pd.Series(range(1, len(table) + 1))
    values = table.select_dtypes(["number", "bool"]).astype(float)
    return values.assign(update=updates.astype(int)).melt("update", var_name="key").assign(source=name)


def _same(a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
    """Where two float64 arrays are the same; any NaN is the same as any other, -0 is not 0."""
    same = (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))
    if tolerance:
        finite = np.isfinite(a) & np.isfinite(b)
        a, b = a[finite], b[finite]
        same[finite] |= np.abs(a - b) <= tolerance * np.maximum(np.abs(a), np.abs(b))
    return same


def cut_short(run: Logged) -> bool:
    """Whether a run was stopped from outside, by a person, an error or a sweep's pruner."""
    return run.status != "FINISHED" or run.tags.get("outcome") == "pruned"


def last_update(run: Logged) -> int:
    """How far a run came, as far as its records tell."""
    return max((update for _, update, _ in run.points()), default=0)
