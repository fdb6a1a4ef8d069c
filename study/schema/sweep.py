"""`conf/sweep`: many runs of one question."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from study.addresses import keep
from study.schema.base import Count, Strict


class SweepConfig(Strict):
    """The plan of an experiment: arms x seeds, or for every arm a search and its winner on the seeds.

    `arms` is a list of grids, one after another: key -> value, list of values, or Hydra's `choice(...)`, `a,b`; what a
    grid has as `name` names its arms.
    `search` is key -> `interval(low, high)`, `tag(log, interval(low, high))`, `range(...)` or `choice(...)`; a key is
    tuned in the trials that have it: `clip.threshold` where something is clipped.
    `objective` is a direction and a measure of validation, such as `minimize nats/val`; null: the measure that ranks
    runs of the task.
    `search_seeds` is the number of runs of a search trial, whose objective is their mean. A pruner ends the whole
    trial. So does a run that diverges: `diverged` then says what the trial is worth, whatever its other runs are.
    `sampler` and `pruner` are Optuna's, by name, with their own arguments; see those modules of `study.sweep.trials`.
    """

    arms: list[dict[str, Any]]
    search: dict[str, Any]
    trials: Count
    search_seeds: Count
    objective: str | list[str] | None
    seeds: Annotated[list[int], Field(min_length=1)]
    sampler: str | dict[str, Any]
    pruner: dict[str, Any] | None
    bad_verdicts: Count | None
    diverged: Literal["worst", "fail"]
    changed: Literal["refuse", "extend"]
    failures: Count | None
    workers: Count | None
    storage: Annotated[str, AfterValidator(keep)]
    dry_run: Literal[False, True, "timed"]

    @field_validator("objective")
    @classmethod
    def _one_objective(cls, given: str | list[str] | None) -> str | list[str] | None:
        if isinstance(given, list):
            raise ValueError(
                "give one objective: the seeds confirm the one winner of every arm's search, and several objectives "
                "have a front of winners; make one sweep an objective, under slugs of their own"
            )
        if given is not None and not re.fullmatch(r"(minimize|maximize) \w+/val", given):
            raise ValueError("must be a direction and a measure of validation, like 'minimize nats/val'")
        return given

    @property
    def tuned_for(self) -> tuple[str, str] | None:
        """Direction and measure of the objective; None: as the task says."""
        direction, _, measure = str(self.objective or "").partition(" ")
        return (direction, measure) if measure else None

    def measure(self, primary: str) -> str:
        """The measure that is tuned for, on a task whose runs are ranked by `primary`."""
        return self.tuned_for[1] if self.tuned_for else f"{primary}/val"
