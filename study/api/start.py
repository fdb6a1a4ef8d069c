"""Training started from Python, in processes of its own."""

import os
from collections.abc import Sequence
from typing import Any

import pandas as pd

from study.api.tables import runs


def train(*overrides: str, store: str | None = None) -> pd.Series:
    """Train one network, as `study-train` does, in a process of its own.

    Args:
        overrides: in Hydra's syntax, such as `model=gru`, one a text, without a shell's quotes.
        store: see `study.api`.

    Returns:
        Its row in `runs`.

    Raises:
        ConfigError: an override cannot be used.
    """
    return runs(store=store).loc[_start(overrides, store)["run_id"]]


def sweep(experiment: str, *overrides: str, folder: str | None = None, store: str | None = None) -> pd.DataFrame:
    """Make the runs of an experiment that are not made yet, as `study-sweep` does, in processes of their own.

    Args:
        experiment: name of its file in `conf/experiment`.
        overrides: see `train`.
        folder: with configurations of your own, `folder/experiment/<name>.yaml`.
        store: see `study.api`.

    Returns:
        One row a run that counts: `arm`, `seed`, `run_id`, `outcome`, `verdict`, `test` and other results;
        no rows of a dry run, which prints its plan.

    Raises:
        ConfigError: the experiment cannot be used.
    """
    own = ["--config-dir", folder] if folder else []
    found = _start(["--multirun", *own, f"experiment={experiment}", *overrides], store)
    return pd.DataFrame(found.get("runs", []))


def _start(arguments: Sequence[str], store: str | None) -> Any:
    from study.sweep.start import start

    return start(arguments, os.environ | ({"MLFLOW_TRACKING_URI": store} if store else {}))
