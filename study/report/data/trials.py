"""The search trials of a study: the tuned keys, their ranges, and the value of every trial."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from study.report.data.arm_names import name_arms
from study.report.data.runs import column, deciding_parameters, is_maximized
from study.tracking.outcomes import ENDED, FINISHED

INFORMATIVE = (*ENDED, "pruned")
"""Outcomes of the trials shown; the value of a pruned one is its last validation, of a diverged one NaN."""
WIDE = 100
"""Without a plan, numbers that span more than this factor are taken to be searched on a log scale."""


@dataclass(frozen=True)
class Axis:
    """One tuned key.

    Attributes:
        key: of the configuration.
        choices: its values, where they are no numbers.
        low: smallest number tried.
        high: largest.
        log: searched on a log scale.
    """

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    @property
    def label(self) -> str:
        """The last part of its key."""
        return self.key.removesuffix(".name").rpartition(".")[2]

    def places(self, values: pd.Series) -> pd.Series:
        """Values as numbers; choices by their position."""
        return values.map(self.choices.index) if self.choices else values

    def unit(self, values: pd.Series) -> Float[np.ndarray, " values"]:
        """Values between 0 and 1 on the scale of the search; choices in the middle of equal parts."""
        if self.choices:
            return (self.places(values).to_numpy(float) + 0.5) / len(self.choices)
        numbers, ends = values.to_numpy(float), np.array([self.low, self.high])
        if self.log:
            numbers, ends = np.log(numbers), np.log(ends)
        return (numbers - ends[0]) / (ends[1] - ends[0])


@dataclass(frozen=True)
class Search:
    """The trials of one task.

    Attributes:
        task: its name.
        measure: that was searched by, on validation.
        maximize: more of it is better.
        axes: what was tuned in any arm.
        trials: one row a trial, by run id, in the order of their starts: `arm`, `value`, `outcome`, `cause` (why it
            was pruned or failed) and the tuned keys.
        arms: their names, the arm with the best trial first.
        compared: the arms of the same task whose winners were compared, the best first; see `place`.
    """

    task: str
    measure: str
    maximize: bool
    axes: list[Axis]
    trials: pd.DataFrame
    arms: list[str]
    compared: Sequence[str] = ()

    def place(self, arm: str) -> int:
        """The place of an arm among those compared, after them where it is not: what it looks like follows from it."""
        return [*self.compared, *(other for other in self.arms if other not in self.compared)].index(arm)

    @property
    def worst(self) -> float:
        """A value worse than every other."""
        return -math.inf if self.maximize else math.inf

    @property
    def counts(self) -> str:
        """A sentence with the number of trials by outcome, and what counts as their value."""
        counts = ", ".join(f"{n} {word}" for word, n in Counter(self.trials["outcome"]).most_common())
        return (
            f"{len(self.trials)} trials ({counts}); of those pruned the last validation counts, those that diverged "
            "are last."
        )

    def of(self, arm: str) -> pd.DataFrame:
        """The trials of an arm that have a value or diverged."""
        return self.trials[(self.trials["arm"] == arm) & self.trials["outcome"].isin(INFORMATIVE)]

    def axes_of(self, arm: str) -> list[Axis]:
        """The keys tuned in an arm: some arms may lack a key."""
        mine = self.of(arm)
        return [axis for axis in self.axes if mine[axis.key].notna().all() and mine[axis.key].nunique() > 1]

    def ranks(self, arm: str) -> Float[np.ndarray, " trials"]:
        """Ranks of the trials of `of(arm)` from 0, the best, to 1; diverged ones share the last rank."""
        values = self.of(arm)["value"].fillna(self.worst)
        places = values.rank(ascending=not self.maximize).to_numpy()
        return (places - 1) / max(1, len(places) - 1)


def searches(runs: pd.DataFrame, planned: Mapping[str, str], objective: str = "") -> Iterator[Search]:
    """The search of every task that has trials.

    Args:
        runs: of `study.report.data.runs.Evidence`.
        planned: how each tuned key was sampled, from the plan; empty where there is none.
        objective: such as `minimize nats/val`; empty: the measure that ranks runs of the task.
    """
    for task, group in runs[runs["phase"] == "search"].groupby("task"):
        parameters = deciding_parameters(group)
        varying = _varying(parameters, group["label"])
        fixed = parameters.drop(columns=varying).groupby(group["label"]).first()
        kept = {str(label): {str(k): str(v) for k, v in row.dropna().items()} for label, row in fixed.iterrows()}
        names = name_arms(kept)
        tuned = parameters[[key for key in varying if _is_tuned(key, planned)]]
        yield _search(str(task), group.assign(arm=group["label"].map(names)), tuned, planned, objective)


def _search(
    task: str, group: pd.DataFrame, values: pd.DataFrame, planned: Mapping[str, str], objective: str
) -> Search:  # fmt: skip
    measure, maximize, worth = _objective(group, objective)
    axes = [_axis(key, values[key], planned.get(key)) for key in map(str, values)]
    numbers = {a.key: values[a.key] if a.choices else pd.to_numeric(values[a.key]) for a in axes}
    trials = pd.DataFrame(
        {
            "arm": group["arm"],
            "value": worth.where(group["outcome"].isin((*FINISHED, "pruned"))),
            "outcome": group["outcome"],
            "cause": group["error"].where(group["error"] != "", group["note"]),
            **numbers,
        }
    )
    trials = _joined(trials, column(group, "candidate"))
    best = trials.groupby("arm")["value"].agg("max" if maximize else "min").sort_values(ascending=not maximize)
    return Search(task, measure, maximize, axes, trials, [str(arm) for arm in best.index])


def _joined(trials: pd.DataFrame, candidates: pd.Series) -> pd.DataFrame:
    """One row for each trial, where a trial is several runs: the mean over its seeds, none if one of them has none."""
    if not (candidates != "").any():
        return trials
    numbered = trials.assign(number=candidates.where(candidates != "", pd.Series(trials.index, trials.index)))
    rows = [_one(runs) for _, runs in numbered.groupby(["arm", "number"], sort=False)]
    return pd.DataFrame(rows).astype(trials.dtypes.to_dict())


def _one(runs: pd.DataFrame) -> pd.Series:
    """The row of a trial: that of its last run, under which it ended, with the mean of all of them."""
    whole = runs[runs["outcome"].isin(INFORMATIVE)]
    last = (whole if len(whole) else runs).iloc[-1].drop("number")
    last["value"] = float(np.mean(whole["value"])) if len(whole) else math.nan
    return last


def _objective(group: pd.DataFrame, objective: str) -> tuple[str, bool, pd.Series]:
    """The measure that was searched by, whether more of it is better, and its value of every trial."""
    if not objective:
        measure = str(group["measure"].iloc[0])
        return measure, is_maximized(measure, group.get("logged", [])), group["validation"]
    direction, _, key = objective.partition(" ")
    values = pd.Series([run.measures.get(key, math.nan) for run in group["logged"]], group.index)
    return key.removesuffix("/val"), direction == "maximize", values


def _varying(parameters: pd.DataFrame, labels: pd.Series) -> list[str]:
    """Keys that differ between trials of one arm."""
    counts = parameters.groupby(labels).nunique()
    return [str(key) for key in counts if (counts[key] > 1).any()]


def _is_tuned(key: str, planned: Mapping[str, str]) -> bool:
    """Whether a key that varies was tuned itself; of a tuned group the option was, its other keys go with it."""
    return not planned or key in planned or key.removesuffix(".name") in planned


def _axis(key: str, values: pd.Series, sampled: str | None) -> Axis:
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().any() and not numbers[values.notna()].notna().all():
        return Axis(key, choices=tuple(sorted(values.dropna().unique())))
    low, high = float(numbers.min()), float(numbers.max())
    log = high > WIDE * low if sampled is None else "log" in sampled.split(", ")
    return Axis(key, low=low, high=high, log=log and low > 0)
