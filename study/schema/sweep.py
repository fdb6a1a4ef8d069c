"""`conf/sweep`: many runs of one question."""

from typing import Annotated, Any, Literal

from pydantic import Field

from study.schema.base import Count, Strict


class Sweep(Strict):
    """The plan of an experiment: arms x seeds, or for every arm a search and its winner on the seeds.

    `arms` is a list of grids, one after another: key -> value, list of values, or Hydra's `choice(...)`, `a,b`.
    `search` is key -> `interval(low, high)`, `tag(log, interval(low, high))`, `range(...)` or `choice(...)`; a key is
    tuned in the trials that have it: `clip.threshold` where something is clipped.
    `pruner` is one of Optuna's by name, with its own arguments; see `study.sweep.pruning`.
    """

    arms: list[dict[str, Any]]
    search: dict[str, Any]
    trials: Count
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
