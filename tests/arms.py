"""Comparisons of arms with given values, for tests of what a report says of them."""

import json
import math
from collections.abc import Mapping, Sequence

import pandas as pd

from study.report.data.comparison import Comparison, rank


def compared(
    values: Mapping[str, Sequence[float]],
    maximize: bool = False,
    baseline: float = math.nan,
    opponents: Mapping[str, float] | None = None,
) -> Comparison:
    """A comparison of arms with these values at seeds 0, 1, ...; NaN for a run that diverged at update 10."""
    rows = [
        {"arm": arm, "seed": seed, "value": value, "baseline": baseline, "verdict": "healthy", "updates": 10.0}
        | dict.fromkeys(("ending", "outcome"), "diverged" if math.isnan(value) else "completed")
        | {"steps": 1e3, "parameters": 100, "state_size": 8, "seconds": 1.0, "horizon": 9.0}
        | {
            "decay": -math.log(2) / 4,
            "params.clip.name": "none",
            "opponents": json.dumps(opponents) if opponents else "",
        }
        for arm, found in values.items()
        for seed, value in enumerate(found)
    ]
    runs = pd.DataFrame(rows, index=[f"run{number}" for number in range(len(rows))])
    return Comparison("task", "family", "rmse", maximize, runs, rank(runs, maximize))
