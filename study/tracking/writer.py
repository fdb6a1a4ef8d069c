"""Writes to MLflow: stores, experiments, runs; what of a run goes where."""

import json
import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import (
    MLFLOW_DATASET_CONTEXT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
)

from study.errors import Pruned
from study.masking import masked
from study.tracking import view
from study.tracking.client import client_of
from study.tracking.description import Description
from study.tracking.outcomes import format_ending, with_ending, without_ending
from study.tracking.place import Place
from study.tracking.store import prepare

BATCH = 1000
"""Most values that MLflow takes in one call."""


class Run:
    """One MLflow run, open for writing.

    Args:
        client: of the store.
        run_id: of MLflow.
        experiment: its id; empty where nobody asks for it.
        known: (key, update) of the points it has already. No point is written twice: a resumed run replays them, and
            the end of a run may be validated twice.

    Attributes:
        run_id: of MLflow.
        experiment: its id.
    """

    def __init__(
        self, client: MlflowClient, run_id: str, experiment: str = "", known: Collection[tuple[str, int]] = ()
    ):
        self._client, self.run_id, self.experiment, self._known = client, run_id, experiment, set(known)

    def log_points(self, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Log (update, {key: value}) points, in as few calls as possible; those known already are left out."""
        now = int(time.time() * 1000)
        new = ((key, value, step) for step, values in points for key, value in values.items())
        metrics = [Metric(key, value, now, step) for key, value, step in new if (key, step) not in self._known]
        self._known |= {(metric.key, metric.step) for metric in metrics}
        for first in range(0, len(metrics), BATCH):
            self._client.log_batch(self.run_id, metrics=metrics[first : first + BATCH])

    def tag(self, tags: Mapping[str, Any]) -> None:
        """Set tags; values are written as text."""
        self._client.log_batch(self.run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    def end(self, tags: Mapping[str, Any]) -> None:
        """Set tags, `outcome` and `cause` among them, that say how the run ended; its name then says it too."""
        self.tag(tags)
        _name(self._client, self.run_id, format_ending(tags["outcome"], tags.get("cause", "none")))

    def log_data(self, name: str, source: str, splits: Mapping[str, tuple[str, int]]) -> None:
        """Log the data set as the run's inputs, one a split.

        Args:
            name: of the data set.
            source: where it is from, an address or words; `mlflow.data.get_source` reads it back.
            splits: digest and size of what was really used, by split.
        """
        kind, origin = ("http", {"url": source}) if source.startswith("https:") else ("local", {"uri": source})
        inputs = [
            DatasetInput(
                Dataset(name, digest, kind, json.dumps(origin), profile=json.dumps({"size": size})),
                [InputTag(MLFLOW_DATASET_CONTEXT, split)],
            )
            for split, (digest, size) in splits.items()
        ]
        _agreed(lambda: self._client.log_inputs(self.run_id, inputs))

    def describe(self, text: str) -> None:
        """Set the description at the top of the run's page, in Markdown."""
        self._client.set_tag(self.run_id, MLFLOW_RUN_NOTE, text)

    def log_texts(self, texts: Mapping[str, str], folder: str) -> None:
        """Write texts, by file name, into a folder of the run's artifacts; nothing where there are none."""
        if texts:
            self.log_files({name: text.encode(errors="surrogateescape") for name, text in texts.items()}, folder)

    def log_text(self, text: str, name: str) -> None:
        """Write a text as an artifact."""
        self._client.log_text(self.run_id, text, name)

    def log_files(self, files: Mapping[str, bytes], folder: str) -> None:
        """Write files, by name, into a folder of the run's artifacts."""
        with tempfile.TemporaryDirectory() as temporary:
            for name, content in files.items():
                Path(temporary, name).write_bytes(content)
            self._client.log_artifacts(self.run_id, temporary, folder)

    def log_table(self, table: pa.Table, name: str) -> None:
        """Write a table as a Parquet artifact."""
        with tempfile.TemporaryDirectory() as folder:
            pq.write_table(table, Path(folder) / name)
            self._client.log_artifact(self.run_id, str(Path(folder) / name))

    def log_figure(self, figure: Any, name: str) -> None:
        """Write a matplotlib figure as an artifact."""
        self._client.log_figure(self.run_id, figure, name)


@contextmanager
def run(described: Description, place: Place, tags: Mapping[str, Any] | None = None) -> Iterator[Run]:
    """An MLflow run around a block; its status is how the block ended: FINISHED, FAILED or KILLED.

    Args:
        described: what is trained; written at the start of a new run.
        place: where the run belongs; a resumed run keeps its name and parent, and gets the tags.
        tags: more tags, of a new and of a resumed run.
    """
    experiment, client = prepare(described.uri, described.slug), client_of(described.uri)
    added = {**(tags or {}), **place.tags}
    tracked = (
        _reopen(client, place.resume, added) if place.resume else _start(client, experiment, described, place, added)
    )
    status = "FAILED"
    try:
        if "primary" in added:
            _show(client, experiment, str(added["primary"]))
        if place.resume is None or not client.get_run(place.resume).data.params:  # killed before it had any
            client.log_batch(tracked.run_id, params=[Param(*item) for item in described.parameters.items()])
        yield tracked
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        tracked.end({"outcome": "killed"})
        raise
    except Pruned as reason:
        status = "FINISHED"
        tracked.end({"outcome": "pruned"})
        tracked.describe(f"**pruned**: {reason}.")
        raise
    except Exception as error:
        tracked.log_texts({"traceback.txt": masked(traceback.format_exc())}, "failure")
        tracked.end({"outcome": "failed", "error": masked(f"{type(error).__name__}: {error}")[:5000]})
        raise
    finally:
        client.set_terminated(tracked.run_id, status)


def _start(client: MlflowClient, experiment: str, described: Description, place: Place, tags: Mapping[str, Any]) -> Run:
    """Create a run, its tags in the same call: whoever sees the run sees them."""
    mlflow_tags = {MLFLOW_RUN_NAME: place.name or described.name}
    if place.parent:
        mlflow_tags[MLFLOW_PARENT_RUN_ID] = place.parent
    texts = {key: str(value) for key, value in tags.items()}  # a server takes nothing else
    made = client.create_run(experiment, tags={**mlflow_tags, **described.tags, **texts})
    return Run(client, made.info.run_id, experiment)


def _show(client: MlflowClient, experiment: str, measure: str) -> None:
    """Let the view of an experiment show the measure that ranks a run; see `study.tracking.view`."""
    for key, value in view.updated(client.get_experiment(experiment).tags, measure).items():
        _agreed(partial(client.set_experiment_tag, experiment, key, value))


def _agreed(write: Callable[[], object]) -> None:
    """Write what other processes may be writing too.

    MLflow looks whether a row is there and then adds it: who adds it second fails, and finds it the next time.
    """
    for left in (2, 1, 0):
        try:
            write()
            return
        except MlflowException as error:
            if not left or "unique" not in str(error).lower():
                raise


def _reopen(client: MlflowClient, run_id: str, tags: Mapping[str, Any]) -> Run:
    """Forget how an interrupted run ended, and remember the points it has."""
    found = client.get_run(run_id)
    client.update_run(run_id, "RUNNING", without_ending(found.info.run_name))
    data = found.data
    for key in {"outcome", "error"} & set(data.tags):
        client.delete_tag(run_id, key)
    known = {(key, point.step) for key in data.metrics for point in client.get_metric_history(run_id, key)}
    tracked = Run(client, run_id, found.info.experiment_id, known)
    tracked.tag(tags)
    return tracked


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
    client = client_of(uri)
    tracked = Run(client, run_id)
    tracked.tag(counts)
    tracked.describe(best)
    client.set_terminated(run_id, status)


def supersede(uri: str, run_ids: Iterable[str]) -> None:
    """Mark runs that others stand for, as where a longer search has a better winner: reports leave them out."""
    for run_id in run_ids:
        if is_there(uri, run_id):
            Run(client_of(uri), run_id).tag({"phase": "superseded"})


def supersede_trial(uri: str, slug: str, number: int) -> None:
    """Mark the runs of a trial that was given up while its process lived: another trial makes them again."""
    condition = f"tags.study = '{slug}' and tags.trial = '{number}'"
    found = client_of(uri).search_runs([prepare(uri, slug)], condition)
    supersede(uri, [run.info.run_id for run in found])


def is_there(uri: str, run_id: str) -> bool:
    """Whether the store has a run that is not deleted."""
    try:
        return client_of(uri).get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException:
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
    Run(client_of(uri), run_id).end({"outcome": "killed"})
    client_of(uri).set_terminated(run_id, "KILLED")


def _name(client: MlflowClient, run_id: str, ending: str) -> None:
    """Put an ending to the name of a run, in the place of the one it may have."""
    client.set_tag(run_id, MLFLOW_RUN_NAME, with_ending(client.get_run(run_id).info.run_name, ending))
