"""Tracked runs for notebooks and scripts: `from study import api`.

A run is named by its id, the start of its id, or its name. The store is that of `MLFLOW_TRACKING_URI`, or the
project's own.
"""

from typing import TYPE_CHECKING

import pandas as pd

from study import store
from study.errors import ConfigError
from study.tracked import Logged, find, frame, search

if TYPE_CHECKING:
    from study.reproduce.compare import Comparison


def runs(experiment: str) -> pd.DataFrame:
    """Every run trained under a slug, oldest first: one row a run, by run id; sweeps and reproductions are left out.

    Returns:
        `name`, `status`, and by key `params.*` (texts), `tags.*` (texts: `tags.verdict`), `metrics.*` (last values).
    """
    found = [run for run in search(store.address(), slug=experiment) if "kind" not in run.tags]
    return frame(found).drop(columns="logged")


def history(run: str) -> pd.DataFrame:
    """Loss, learning rate and every gradient norm of a run, one row an update."""
    return _one(run).table("gradients.parquet").set_index("update")


def lag_profile(run: str) -> pd.DataFrame:
    """Gradient flow: log phi by lag, for every layer and all jointly, at every update it was measured after."""
    return _one(run).table("flow.parquet")


def reproduce(run: str, tolerance: float = 0.0) -> "Comparison":
    """Make a run again and compare every recorded number; see `python -m study.reproduce`."""
    from study.reproduce.again import again
    from study.reproduce.restore import restore

    logged = _one(run)
    comparison = again(logged, restore(logged.read("definition/config.yaml"), logged.uri), (), tolerance).comparison
    assert comparison is not None
    return comparison


def _one(wanted: str) -> Logged:
    found = find(store.address(), wanted)
    if len(found) > 1:
        raise ConfigError(f"run = {wanted!r}: these are {len(found)} runs, one is needed")
    return found[0]
