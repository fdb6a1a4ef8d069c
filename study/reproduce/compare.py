"""Compare two runs number by number: histories, points of metrics, tables, digests of the weights."""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from study.columns import FIXED
from study.errors import ConfigError
from study.installation import about
from study.tracking.models import DIGESTS
from study.tracking.reader import Logged

HISTORY = "gradients.parquet"
METRICS = "metrics"
SERIES = ["source", "key"]
PLACE = [*SERIES, "update", "nth"]
JUDGEMENT = ("outcome", "verdict", "cause", "clipping")
RULES = "diagnosis_rules"
PREDICTIONS = "predictions.parquet"
"""Not compared: they follow from the weights, which are, and the measures, which are made of them, are too."""
FINAL, BEST = DIGESTS["last"], DIGESTS["best"]
MARKS = ("data_digest", "weights_initial", FINAL, BEST, *JUDGEMENT)
NOT_COMPARED = re.compile("seconds|/opponent$")
"""Metrics of time are never the same twice; those of opponents are no bits of the run's training."""
OF_DESTROYED = re.compile("/val$|/test$|^skill/")
"""Measures of a network at its end: of one that diverged older versions recorded them, this one has none."""
BY_LENGTH = re.compile("by_length")
"""The same, by length."""


class Deviation(NamedTuple):
    """One value that differs.

    Attributes:
        key: source of the value, and its name there.
        update: at which it was recorded (the row, in a table that counts something else; 0: of the whole run).
        then: of the original; None where nothing was recorded.
        here: of the rerun; None where nothing was recorded.
    """

    key: str
    update: int
    then: float | str | None
    here: float | str | None

    def __str__(self) -> str:
        """Return the key, the update, both values and their distance."""
        then, here = ("nothing" if value is None else repr(value) for value in (self.then, self.here))
        line = f"{self.key} at update {self.update}: {then} then, {here} here"
        if isinstance(self.then, float) and isinstance(self.here, float):
            return f"{line}, distance {abs(self.then - self.here):.3g}"
        return line


@dataclass(frozen=True)
class RunComparison:
    """The result of comparing two runs.

    Attributes:
        values: how many the original recorded.
        same: how many of them are the same here.
        first: the first value that differs, of the first update that has one; None if there is none.
        tolerance: see `compare`.
    """

    values: int
    same: int
    first: Deviation | None
    tolerance: float

    @property
    def identical(self) -> bool:
        """Whether every value is the same; False for a run that recorded nothing."""
        return self.values == self.same > 0

    def __str__(self) -> str:
        """Return the first difference, if there is one, and the counts on the last line."""
        same = f"equal within {self.tolerance:g}" if self.tolerance else "identical"
        counts = f"{self.same:,} of {self.values:,} values"
        if self.identical:
            return f"{same}: {counts}"
        if self.first is None:
            return f"different: {counts}; the run recorded nothing that could be compared"
        return f"first difference: {self.first}\ndifferent: {counts} are {same}"


def compare(
    then: Logged, here: Logged, tolerance: float = 0.0, recorded: pd.DataFrame | None = None
) -> RunComparison:  # fmt: skip
    """Compare everything that the original recorded with what the rerun recorded.

    A measure that only the rerun has is left out; so is one of a diverged network that only the original has.
    Additional points of a measure that both have are deviations, unless the original was cut short: then the
    comparison ends where its records end.

    Args:
        then: the original.
        here: the rerun.
        tolerance: 0: bit for bit. Otherwise values with |a - b| <= tolerance max(|a|, |b|) count as the same, and the
            digests of weights, which have no distance, are left out.
        recorded: the `numbers` of the original, where they were read before; None: they are read now.
    """
    cut = cut_short(then)
    both = _side_by_side(numbers(then) if recorded is None else recorded, numbers(here), "left" if cut else "outer")
    if then.tags.get("outcome") == "diverged":
        both = both[(both["found"] != "left_only") | ~_of_destroyed(both, then.measures.get("run/updates", 0))]
    found = (both["found"] == "both").to_numpy()
    wrong = both[~found | ~_same(both["value_then"].to_numpy(), both["value_here"].to_numpy(), tolerance)]
    marks = [key for key in _marks(then, here) if not (tolerance and key.startswith("weights"))]
    others = [key for key in marks if then.tags[key] != here.tags.get(key)]
    first = _first(wrong)
    if first is None and others:
        first = Deviation(f"tag {others[0]}", 0, then.tags[others[0]], here.tags.get(others[0]))
    values = len(both) + len(marks)
    return RunComparison(values, values - len(wrong) - len(others), first, tolerance)


def numbers(run: Logged) -> pd.DataFrame:
    """Return every number that a run recorded, one a row.

    Returns:
        Columns source, key, update, nth (counts repeated entries of the same update) and value (float64).

    Raises:
        ConfigError: a table cannot be read, or counts its updates in no numbers.
    """
    names = sorted(
        (name for name in run.files() if name.endswith(".parquet") and name != PREDICTIONS),
        key=lambda name: (name != HISTORY, name),
    )
    points = pd.DataFrame(list(run.points()), columns=["key", "update", "value"]).assign(source=METRICS)
    points = points[points["key"].map(lambda key: NOT_COMPARED.search(key) is None).astype(bool)]
    parts = [_table(run, name) for name in names]
    recorded = pd.concat([*parts, points.astype({"update": int, "value": float})], ignore_index=True)
    return recorded.assign(nth=recorded.groupby(PLACE[:3]).cumcount())


def history(run: Logged) -> pd.DataFrame:
    """The history of a run, whole.

    Raises:
        ConfigError: it cannot be read, or lacks a column that every history has.
    """
    found = run.table(HISTORY)
    if lacking := [column for column in ("update", *FIXED) if column not in found]:
        raise ConfigError(f"{HISTORY} of run {run.run_id} has no column {lacking[0]!r}, as every history of a run has")
    return found


def has_lost_history(run: Logged) -> bool:
    """Whether a run made updates, but the file of them is gone."""
    return run.measures.get("run/updates", 0) > 0 and HISTORY not in run.files()


def unrecorded(run: Logged) -> str:
    """Say why a run has no history."""
    if has_lost_history(run):
        return f"the history of run {run.run_id} ({run.name}), {HISTORY}, is not in {run.folder}"
    if run.status != "FINISHED" and HISTORY not in run.files():
        return (
            f"run {run.run_id} ({run.name}) is {run.status} and has no history, which is written when a run ends; "
            f"`{about('resume', run.run_id)}` continues one whose process died"
        )
    return f"run {run.run_id} ({run.name}) recorded no update"


def _table(run: Logged, name: str) -> pd.DataFrame:
    try:
        return _melted(name, run.table(name))
    except (ValueError, TypeError, OverflowError) as error:  # updates that are no numbers, or none that fit
        raise ConfigError(f"{name} of run {run.run_id} is no table that a run writes: {error}") from error


def _melted(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Melt a table to one row a number; rows are numbered where no column has the update.

    The labels of a row (such as its layer) become part of its key: rows that newer code added, with labels the
    original does not have, are then measures of their own.
    """
    updates = table.pop("update") if "update" in table else pd.Series(range(1, len(table) + 1))
    values = table.select_dtypes(["number", "bool"]).astype(float)
    texts = [f" of {' '.join(map(str, row))}" if row else "" for row in _labels(table)]
    labels = pd.Series(texts[: len(values)], values.index, dtype=str)  # texts also where the table has no row
    long = values.assign(update=updates.astype(int), label=labels).melt(["update", "label"], var_name="key")
    return long.assign(key=long["key"] + long["label"], source=name).drop(columns="label")


def _labels(table: pd.DataFrame) -> list[tuple[object, ...]]:
    texts = table.select_dtypes(exclude=["number", "bool"])
    return list(texts.itertuples(index=False, name=None)) or [()] * len(table)


def _marks(then: Logged, here: Logged) -> list[str]:
    """Return the tags to compare. A run that was cut short has no diagnosis, and final weights only if it was pruned.

    The validation at the end, which may be the best of the rerun, was not made of it either. Any other interruption may
    come in the middle of a Lightning step, but a rerun always ends after one. Diagnoses by different rules cannot be
    compared.
    """
    pruned = then.tags.get("outcome") == "pruned"
    ended = () if not cut_short(then) else (BEST, *JUDGEMENT) if pruned else (FINAL, BEST, *JUDGEMENT)
    judged = JUDGEMENT if then.tags.get(RULES) != here.tags.get(RULES) else ()
    return [key for key in MARKS if key in then.tags and key not in (*ended, *judged)]


def _side_by_side(then: pd.DataFrame, here: pd.DataFrame, how: Literal["left", "outer"]) -> pd.DataFrame:
    """Join both values of every place, for the measures that the original has."""
    promised = then[SERIES].drop_duplicates()
    promised = promised.assign(order=range(len(promised)))
    then, here = then.merge(promised), here.merge(promised)
    return then.merge(here, how, [*PLACE, "order"], suffixes=("_then", "_here"), indicator="found")


def _of_destroyed(both: pd.DataFrame, last: int | float) -> pd.Series:
    """Which values are measures that a diverged run took of its network after its last update."""
    lengths = both["key"].str.contains(BY_LENGTH) | both["source"].str.contains(BY_LENGTH)  # their steps are lengths
    return lengths | (both["key"].str.contains(OF_DESTROYED) & (both["update"] == last))


def _first(wrong: pd.DataFrame) -> Deviation | None:
    """Return the first deviation of the first update that has one, the history's before others."""
    if wrong.empty:
        return None
    row = wrong.sort_values(["update", "order", "nth"]).iloc[0]
    then = float(row["value_then"]) if row["found"] != "right_only" else None
    here = float(row["value_here"]) if row["found"] != "left_only" else None
    return Deviation(f"{row['source']} {row['key']}", int(row["update"]), then, here)


def _same(a: np.ndarray, b: np.ndarray, tolerance: float) -> np.ndarray:
    """Compare two float64 arrays value by value; any NaN equals any other, -0 does not equal 0."""
    same = (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))
    if tolerance:
        finite = np.isfinite(a) & np.isfinite(b)
        a, b = a[finite], b[finite]
        same[finite] |= np.abs(a - b) <= tolerance * np.maximum(np.abs(a), np.abs(b))
    return same


def cut_short(run: Logged) -> bool:
    """Return whether a run was stopped from outside: by a person, an error, its process's death, a sweep's pruner."""
    return run.status != "FINISHED" or run.tags.get("outcome") == "pruned"


def last_update(run: Logged) -> int:
    """Return the last update that a run recorded; its charts may end before its history does."""
    charted = max((update for _, update, _ in run.points()), default=0)
    return max(charted, len(run.table(HISTORY, ["update"])) if HISTORY in run.files() else 0)
