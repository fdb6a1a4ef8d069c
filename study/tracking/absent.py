"""Why a store lacks a run, and the command that makes it, or brings it back: MLflow keeps what was deleted, marked."""

import re
import shlex

from mlflow.entities import ViewType

from study.installation import program
from study.tracking.client import client_of

UNMADE = "has no runs; the command that started it, typed again, makes them"


def without_runs(uri: str, wanted: str) -> str:
    """Say why no run is found under a slug, or an id; empty where the store never had such a one."""
    found = client_of(uri).get_experiment_by_name(wanted)
    if found and found.lifecycle_stage == "active" and found.experiment_id != "0":  # which MLflow makes by itself
        return f"this experiment {UNMADE}"
    return restoring(uri, wanted)


def restoring(uri: str, wanted: str) -> str:
    """Say how a deleted experiment, or run, is brought back; empty where there is none of this name, or id."""
    client = client_of(uri)
    experiments = client.search_experiments(view_type=ViewType.ALL)
    gone = [e.experiment_id for e in experiments if e.lifecycle_stage == "deleted" and e.name == wanted]
    if gone:
        return restoring_experiment(uri, gone[0])
    if not re.fullmatch("[0-9a-f]{4,32}", wanted):
        return ""
    everywhere, condition = [e.experiment_id for e in experiments], f"attributes.run_id LIKE '{wanted}%'"
    for run in client.search_runs(everywhere, condition, ViewType.DELETED_ONLY, max_results=1):
        stages = {e.experiment_id: e.lifecycle_stage for e in experiments}
        if stages[run.info.experiment_id] == "deleted":
            return restoring_experiment(uri, run.info.experiment_id)
        return _typed(uri, f"runs restore --run-id {run.info.run_id}")
    return ""


def restoring_experiment(uri: str, experiment: str) -> str:
    """Say how a deleted experiment is brought back, with its runs."""
    return _typed(uri, f"experiments restore --experiment-id {experiment}")


def _typed(uri: str, command: str) -> str:
    return f"it was deleted; `MLFLOW_TRACKING_URI={shlex.quote(uri)} {program('mlflow')} {command}` brings it back"
