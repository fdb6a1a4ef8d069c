"""Tracked runs as tables: what was trained, and what every run recorded."""

from typing import TYPE_CHECKING

import pandas as pd

from study.errors import ConfigError
from study.tracking.uri import address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from study.tracking.reader import Logged


def runs(experiment: str | None = None, where: str = "", store: str | None = None) -> pd.DataFrame:
    """List every run trained under a slug, oldest first; the runs of sweeps themselves and reproductions are left out.

    Args:
        experiment: the slug; None: all experiments.
        where: MLflow's search filter, such as `params.model.name = 'lstm' and tags.outcome = 'diverged'`.
        store: see `study.api`.

    Returns:
        One row a run, by run id, with the columns `name`, `status`, `params.*` (as numbers where all values are
        numbers), `tags.*` (texts, such as `tags.verdict`) and `metrics.*` (last values).

    Raises:
        ConfigError: there is no such store, or it has no run of this experiment.
    """
    from study.tracking.reader import search

    uri = address(store)
    found = [run for run in search(uri, where, experiment) if "kind" not in run.tags]
    if not (found or where):
        raise ConfigError(f"experiment = {experiment!r}: no run was trained under this slug in {uri}")
    return rows(found)


def history(run: str, store: str | None = None) -> pd.DataFrame:
    """Return loss, learning rate and every gradient norm of a run, one row an update."""
    return one_run(run, store).table("gradients.parquet").set_index("update")


def lag_profile(run: str, store: str | None = None) -> pd.DataFrame:
    """Return the gradient flow of a run: log phi by lag, by layer and in all, at every update measured."""
    return one_run(run, store).table("flow.parquet")


def rows(found: "Sequence[Logged]") -> pd.DataFrame:
    """Return the columns of `runs` for some runs."""
    from study.tracking.reader import frame

    return frame(list(found)).drop(columns="logged").apply(_numeric)


def one_run(wanted: str, store: str | None) -> "Logged":
    """Find a run by its id, the start of its id, or its name."""
    from study.tracking.reader import find_one

    return find_one(address(store), wanted)


def _numeric(column: pd.Series) -> pd.Series:
    """Convert a column of parameters to numbers if all of its texts are numbers; `None` is a missing value."""
    if not str(column.name).startswith("params."):
        return column
    given = column.mask(column == "None")
    numbers = pd.to_numeric(given, errors="coerce")
    return numbers if numbers.notna().any() and numbers.isna().equals(given.isna()) else column
