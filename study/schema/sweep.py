"""`conf/sweep`: many runs of one question."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from study.schema.base import Count, Strict


class Sweep(Strict):
    """The plan of an experiment: arms x seeds, or for every arm a search and its winner on the seeds.

    `arms` is a list of grids, one after another: key -> value, list of values, or Hydra's `choice(...)`, `a,b`; what a
    grid has as `name` names its arms.
    `search` is key -> `interval(low, high)`, `tag(log, interval(low, high))`, `range(...)` or `choice(...)`; a key is
    tuned in the trials that have it: `clip.threshold` where something is clipped.
    `objective` is measure -> minimize or maximize, the measure one of validation (`nats/val`, `loss/val`); empty: the
    measure that ranks runs of the task.
    `pruner` is one of Optuna's by name, with its own arguments; see `study.sweep.pruning`.
    """

    arms: list[dict[str, Any]]
    search: dict[str, Any]
    trials: Count
    objective: dict[str, Literal["minimize", "maximize"]]
    seeds: Annotated[list[int], Field(min_length=1)]
    sampler: Literal["tpe", "random"]
    pruner: dict[str, Any] | None
    pathology: Count | None
    diverged: Literal["worst", "fail"]
    changed: Literal["refuse", "extend"]
    failures: Count | None
    workers: Count | None
    storage: str
    dry_run: bool

    @model_validator(mode="after")
    def _one_objective(self) -> "Sweep":
        if len(self.objective) > 1:
            raise ValueError(
                f"objective = {', '.join(self.objective)}: give one. The seeds confirm the one winner of every arm's "
                "search, and of several objectives there is a front of winners; run one search an objective, under "
                "slugs of their own"
            )
        if any(not key.endswith("/val") for key in self.objective):
            raise ValueError(f"objective = {', '.join(self.objective)}: must be a measure of validation, like nats/val")
        return self

    def measure(self, primary: str) -> str:
        """The measure that is tuned for, on a task whose runs are ranked by `primary`."""
        return next(iter(self.objective), f"{primary}/val")
