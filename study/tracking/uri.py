"""Addresses of the MLflow store and of its UI. Imports no MLflow: that would cost seconds."""

import os

UI = "http://127.0.0.1:5000"
"""Where the UI that `study.ui` starts answers."""


def ui(uri: str) -> str:
    """Return where the runs of a store are browsed: the server itself, or where `study.ui` serves a database."""
    return uri if uri.startswith("http") else UI


def address() -> str:
    """Return `MLFLOW_TRACKING_URI`, or the database in the current folder, as `conf/tracking/local.yaml` does."""
    return os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
