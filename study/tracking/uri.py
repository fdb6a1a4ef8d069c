"""Addresses of the MLflow store and of its UI. Imports no MLflow: that would cost seconds."""

import os

from study.addresses import keep
from study.masking import HIDDEN

UI = "http://127.0.0.1:5000"
"""Where the UI that `study.ui` starts answers."""


def ui(uri: str) -> str:
    """Return where the runs of a store are browsed: the server itself, or where `study.ui` serves a database."""
    return uri.replace(f"{HIDDEN}@", "") if uri.startswith("http") else UI


def address(given: str | None = None) -> str:
    """Return a store, without its password.

    Without one given: `MLFLOW_TRACKING_URI`, or the database in the current folder, as `conf/tracking/local.yaml` does.
    """
    return keep(given or os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db"))
