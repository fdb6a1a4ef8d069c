"""The runs of one task side by side: what they are compared by, and how arms rank."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from study.report.data.statistics import Interval, mean_interval
from study.standing import Direction
from study.tracking.outcomes import LOST

KNOWN = {"entity_f1": "maximize", "accuracy": "maximize", "rmse": "minimize", "nats": "minimize", "loss": "minimize"}
"""Directions of measures, for runs of versions that did not record what ranks them (the tags `primary` and
`direction`): they are ranked by the first of these that they have. Of these the range is known too: none is below 0,
and those to maximize are at most 1."""


@dataclass(frozen=True)
class Comparison:
    """The runs of one task that count, arms side by side.

    Attributes:
        task: its name.
        family: of tasks.
        measure: that ranks runs of the task.
        maximize: more of it is better.
        runs: one row a run, by run id; the newest for every arm and seed.
        arms: their names, best first.
        tuned: keys whose values a search chose for every arm: they are no part of the question.
    """

    task: str
    family: str
    measure: str
    maximize: bool
    runs: pd.DataFrame
    arms: list[str]
    tuned: frozenset[str] = frozenset()

    @property
    def direction(self) -> Direction:
        """Of the measure."""
        return "maximize" if self.maximize else "minimize"

    @property
    def baseline(self) -> float:
        """The measure of the naive guess on the test split; NaN where it was not logged, or differs between runs."""
        return same(self.runs["baseline"])

    def interval(self, values: pd.Series) -> Interval:
        """The mean of values of the measure, without NaN, within the range of the measure where that is known."""
        interval = mean_interval(values.dropna().to_numpy(float))
        return interval.within(0.0, 1.0 if self.maximize else math.inf) if self.measure in KNOWN else interval

    def behind(self, level: "pd.Series | float" = 0.0) -> Float[np.ndarray, "arms seeds"]:
        """How much worse runs are than a level, one row an arm, the best first, one column a seed; NaN of lost runs.

        Args:
            level: a value of the measure, for all runs or run by run.
        """
        runs = self.runs.assign(behind=worth(self.runs) - level)
        table = runs.pivot(index="arm", columns="seed", values="behind").reindex(self.arms).to_numpy(float)
        return -table if self.maximize else table

    def place(self, arm: str) -> int:
        """The place of an arm, from 0, the best: what it looks like in every picture follows from it."""
        return self.arms.index(arm)

    def arm(self, name: str) -> pd.DataFrame:
        """The runs of one arm."""
        return self.runs[self.runs["arm"] == name]


def same(values: pd.Series) -> float:
    """What all values are; NaN where there is none, or they differ."""
    found = values.dropna().to_numpy(float)
    return float(found[0]) if len(found) and np.allclose(found, found[0], rtol=1e-9, atol=0.0) else math.nan


def worth(runs: pd.DataFrame) -> pd.Series:
    """What runs are compared by: their values; NaN for those that were lost (see `study.tracking.outcomes`)."""
    return runs["value"].where(~runs["outcome"].isin(LOST))


def rank(named: pd.DataFrame, maximize: bool) -> list[str]:
    """Arms, the best first: by the share of runs that were lost, then by the mean of the others."""
    by_arm = worth(named).groupby(named["arm"], sort=False)
    table = pd.DataFrame({"lost": by_arm.apply(lambda v: v.isna().mean()), "mean": by_arm.mean()})
    table["mean"] *= -1 if maximize else 1
    return [str(arm) for arm in table.sort_values(["lost", "mean"], kind="stable").index]
