"""Tracked runs for notebooks and scripts: `from study import api`.

    runs = api.runs("tour", "tags.verdict = 'vanishing'")
    api.history(runs.index[0])["grad_norm/total"].plot(logy=True)

A run is named by its id, the start of its id, or its name. The store is an MLflow tracking URI; default:
`MLFLOW_TRACKING_URI`, or `mlflow.db` in the current folder. Nothing heavy is imported before it is needed.
"""

from study.api.questions import autopsy, fork, reproduce, what_if, why
from study.api.start import sweep, train
from study.api.tables import history, lag_profile, runs
from study.api.weights import model, predict

__all__ = [
    "autopsy",
    "fork",
    "history",
    "lag_profile",
    "model",
    "predict",
    "reproduce",
    "runs",
    "sweep",
    "train",
    "what_if",
    "why",
]
