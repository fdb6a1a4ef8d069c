"""Where tracked runs lie, for commands that take no configuration; to know it does not cost an import of MLflow."""

import os


def address() -> str:
    """`MLFLOW_TRACKING_URI`, or the project's own database: what `conf/tracking/local.yaml` says too."""
    return os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
