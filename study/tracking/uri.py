"""Where tracked runs lie, and where they are browsed; to know it does not cost an import of MLflow."""

import os

UI = "http://127.0.0.1:5000"
"""Where `make ui` answers."""


def ui(uri: str) -> str:
    """Where the runs of a store are browsed: at the server they lie on, or where `make ui` answers."""
    return uri if uri.startswith("http") else UI


def address() -> str:
    """`MLFLOW_TRACKING_URI`, or the project's own database: what `conf/tracking/local.yaml` says too."""
    return os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
