"""The plan of a sweep, read from its MLflow run, and the planned runs that are missing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from study.errors import ConfigError
from study.tracking import plain
from study.tracking.outcomes import ENDED
from study.tracking.reader import Logged

LARGEST = 2_000_000
"""Bytes of a plan: that of 1,000 arms has some 200,000."""
NAMED = 6
"""Arms named in one sentence."""


@dataclass(frozen=True)
class Planned:
    """The plan of the newest command of a sweep.

    Attributes:
        arms: by name the labels that its runs may be tagged with: its title or its values, former ones, and those of
            further arms of the experiment that would have trained the same runs.
        seeds: of every arm.
        trials: of every arm's search.
        search: the tuned keys, and in words how each was sampled; empty for a grid.
        objective: of the search, such as `minimize nats/val`; empty: the measure that ranks runs of the task.
        search_seeds: runs of every search trial.
        unread: why the plan of a sweep cannot be read; empty where it can, or there is no sweep.
    """

    arms: Mapping[str, set[str]] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)
    trials: int = 0
    search: Mapping[str, str] = field(default_factory=dict)
    objective: str = ""
    search_seeds: int = 1
    unread: str = ""


def load_plan(parent: Logged | None) -> Planned:
    """Read the plan that a sweep's run keeps; an empty one where none can be read."""
    try:
        plan = plain.read(parent.read("plan.yaml"), "plan.yaml", LARGEST) if parent else {}
        others = (plan.get("twins", {}), plan.get("former", {}))
        arms = {
            str(name): {str(name), _label(arm), *(label for labels in others for label in labels.get(name, ()))}
            for name, arm in plan["arms"].items()
        }
        search = {str(key): str(words) for key, words in plan.get("search", {}).items()}
        objective = str(plan.get("objective") or "")
        seeds = int(plan.get("search_seeds", 1))
        return Planned(
            arms, [int(seed) for seed in plan["seeds"]], int(plan.get("trials", 0)), search, objective, seeds
        )
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return Planned(unread=f"{type(error).__name__}: {error}" if parent else "")


def _label(arm: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in arm.items() if key != "budget")


def missing(planned: Planned, runs: pd.DataFrame) -> str:
    """A sentence that counts the planned runs without a result, arm by arm; empty where there are none.

    Args:
        planned: of the sweep.
        runs: of `study.report.data.runs.Evidence`.
    """
    found = list(_lacking(planned, runs[runs["outcome"].isin([*ENDED, "pruned"])]))
    if not found:
        return ""
    listed = "; ".join(f"{arm}: {lacking} of {wanted} {what}" for arm, what, lacking, wanted in found[:NAMED])
    more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f"{sum(lacking for _, _, lacking, _ in found)} planned runs have no result yet ({listed}{more})."


def _lacking(planned: Planned, ended: pd.DataFrame) -> Iterator[tuple[str, str, int, int]]:
    """Of every arm with missing runs: its name, what is missing (trials or seeds), how many, of how many."""
    phase = "confirm" if planned.search else "grid"
    for arm, labels in planned.arms.items():
        mine = ended[ended["label"].isin(labels)]
        trials = _made_trials(mine[mine["phase"] == "search"], planned.search_seeds)
        if planned.search and trials < planned.trials:
            yield arm, "trials", planned.trials - trials, planned.trials
        seeds = set(planned.seeds) - set(mine.loc[mine["phase"] == phase, "seed"])
        if seeds:
            yield arm, "seeds", len(seeds), len(set(planned.seeds))


def _made_trials(runs: pd.DataFrame, seeds: int) -> int:
    """The number of search trials among runs that ended; one over several seeds may end early, but not for nothing."""
    if seeds == 1:
        return len(runs)
    early = runs["outcome"].isin(["diverged", "pruned"]).groupby(runs["candidate"]).any()
    return int((early | (runs.groupby("candidate")["seed"].nunique() >= seeds)).sum())
