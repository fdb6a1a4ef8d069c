"""What a sweep writes to MLflow: the run that its runs stand under, and what it finds out about them."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from study.tracking.client import client_of
from study.tracking.store import prepare
from study.tracking.trouble import may_pass
from study.tracking.writer import opened


def open_parent(uri: str, slug: str, plan: str, known: str | None = None) -> str:
    """Start the run that a sweep's runs are nested under, or reopen the `known` one; return its id."""
    experiment, client = prepare(uri, slug), client_of(uri)
    if known is None or not client.search_runs([experiment], f"attributes.run_id = '{known}'"):
        tags = {MLFLOW_RUN_NAME: f"sweep {slug}", "kind": "sweep"}
        known = _unclaimed(client, experiment) or client.create_run(experiment, tags=tags).info.run_id
    client.update_run(known, "RUNNING")
    client.log_text(known, plan, "plan.yaml")
    return known


def _unclaimed(client: MlflowClient, experiment: str) -> str | None:
    """The run of a sweep that was killed before its study knew of it: under way, and without a run of its own."""
    for found in client.search_runs([experiment], "attributes.status = 'RUNNING' and tags.kind = 'sweep'"):
        own = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{found.info.run_id}'"
        if not client.search_runs([experiment], own, max_results=1):
            return str(found.info.run_id)
    return None


def close_parent(uri: str, run_id: str, status: str, counts: Mapping[Any, int], best: str = "") -> None:
    """End a sweep's run, with its counts as tags and the best of every arm as its description."""
    tracked = opened(uri, run_id)
    tracked.tag(counts)
    tracked.describe(best)
    tracked.terminate(status)


def supersede(uri: str, run_ids: Iterable[str]) -> None:
    """Mark runs that others stand for, as where a longer search has a better winner: reports leave them out."""
    for run_id in run_ids:
        if is_there(uri, run_id):
            opened(uri, run_id).tag({"phase": "superseded"})


def supersede_trial(uri: str, slug: str, number: int) -> None:
    """Mark the runs of a trial that was given up while its process lived: another trial makes them again."""
    condition = f"tags.study = '{slug}' and tags.trial = '{number}'"
    found = client_of(uri).search_runs([prepare(uri, slug)], condition)
    supersede(uri, [run.info.run_id for run in found])


def is_there(uri: str, run_id: str) -> bool:
    """Whether the store has a run that is not deleted."""
    try:
        return client_of(uri).get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException as error:
        if may_pass(error):  # it says nothing about the run
            raise
        return False


def missing(uri: str, slug: str, run_ids: Collection[str]) -> frozenset[str]:
    """Those of the runs of an experiment that are not in the store, or were deleted there; one query for all."""
    client, experiment, page, there = client_of(uri), prepare(uri, slug), None, set[str]()
    while run_ids:
        found = client.search_runs([experiment], max_results=5000, page_token=page)
        there |= {run.info.run_id for run in found}
        if not (page := found.token):
            break
    return frozenset(run_ids) - there


def has_made(uri: str, slug: str) -> bool:
    """Whether a sweep of an experiment has finished a run."""
    condition = f"attributes.status = 'FINISHED' and tags.study = '{slug}'"
    return bool(client_of(uri).search_runs([prepare(uri, slug)], condition, max_results=1))


def end_lost(uri: str, slug: str, running: Callable[[], Collection[int]]) -> None:
    """Mark the RUNNING runs of a study whose process is gone as KILLED.

    Args:
        uri: of the store.
        slug: of the study.
        running: returns the numbers of the trials under way. It is called after the store is read, so that a run that
            starts in between does not count as lost.
    """
    client, experiment = client_of(uri), prepare(uri, slug)
    found = client.search_runs(
        [experiment], f"attributes.status = 'RUNNING' and tags.study = '{slug}'", max_results=5000
    )
    alive = running()
    for entity in found:
        if int(entity.data.tags["trial"]) not in alive:
            end_killed(uri, entity.info.run_id)


def end_killed(uri: str, run_id: str) -> None:
    """Say how a run ended that could not say it itself."""
    lost = opened(uri, run_id)
    lost.end({"outcome": "killed"})
    lost.terminate("KILLED")
