"""The objective of a search trial over several seeds (`sweep.search_seeds`), and its record."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

Record = dict[str, Any]
ANSWERS = ("outcome", "verdict", "cause")
"""Of a diagnosis; records of older versions name no cause."""


def mean_objective(objectives: Sequence[float | None]) -> float | None:
    """The mean over seeds; None or NaN, what a diverged run is worth, if it is one seed's: others do not make it up."""
    lost = [value for value in objectives if value is None or math.isnan(value)]
    return lost[0] if lost else math.fsum(value for value in objectives if value is not None) / len(objectives)


def interim(made: Sequence[Record], value: float, updates: int) -> tuple[float, int]:
    """What a trial reports during a run: the mean of its runs so far and this one, at the updates of all of them.

    Args:
        made: the finished runs of the trial, `objective` and `updates` of each.
        value: of the run under way.
        updates: that it has made.
    """
    finished = [run["objective"] for run in made]
    return math.fsum([*finished, value]) / (len(made) + 1), updates + sum(run["updates"] for run in made)


def join(records: Sequence[Record]) -> Record:
    """The attributes of a trial from those of its runs: of several, means, the sum of seconds, the usual diagnosis."""
    first = {key: value for key, value in records[0].items() if key not in ("objective", "updates")}
    if len(records) == 1:
        return first
    diverged = any(record["outcome"] == "diverged" for record in records)
    numbers = [key for key, value in first.items() if isinstance(value, float)]
    return {
        **first,
        **{key: math.fsum(record[key] for record in records) / len(records) for key in numbers},
        **{answer: _usual(record.get(answer, "none") for record in records) for answer in ANSWERS},
        **({"outcome": "diverged"} if diverged else {}),
        "seconds": math.fsum(record["seconds"] for record in records),
    }


def _usual(words: Iterable[str]) -> str:
    return Counter(words).most_common(1)[0][0]
