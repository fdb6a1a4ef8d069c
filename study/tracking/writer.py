"""MLflow, written to: stores, runs, what of a run goes where."""

import json
import tempfile
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from sqlalchemy.exc import SQLAlchemyError

from study.errors import ConfigError, Pruned
from study.schema import Config
from study.schema.identity import flat_record
from study.tracking.lock import locked

BATCH = 1000  # values a log_batch call may hold

TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""So that the UI opens its views of training runs, not those of language-model traces."""


class Run:
    """One MLflow run being written.

    Args:
        known: (key, update) of points that are there already. None is written twice: a resumed run makes them again,
            and the end of a run may be validated twice.

    Attributes:
        run_id: of MLflow.
    """

    def __init__(self, client: MlflowClient, run_id: str, known: Collection[tuple[str, int]] = ()):
        self._client, self.run_id, self._known = client, run_id, set(known)

    def log_points(self, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Log values by key for several updates, in as few calls as can be."""
        now = int(time.time() * 1000)
        new = ((key, value, step) for step, values in points for key, value in values.items())
        metrics = [Metric(key, value, now, step) for key, value, step in new if (key, step) not in self._known]
        self._known |= {(metric.key, metric.step) for metric in metrics}
        for first in range(0, len(metrics), BATCH):
            self._client.log_batch(self.run_id, metrics=metrics[first : first + BATCH])

    def tag(self, tags: Mapping[str, Any]) -> None:
        """Set tags."""
        self._client.log_batch(self.run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    def log_data(self, name: str, source: str, splits: Mapping[str, tuple[str, int]]) -> None:
        """Name the data set as the run's inputs: one a split, with the digest and the size of what was really used.

        Read back by `mlflow.data.get_source`.
        """
        kind, origin = ("http", {"url": source}) if source.startswith("https:") else ("local", {"uri": source})
        inputs = [
            DatasetInput(
                Dataset(name, digest, kind, json.dumps(origin), profile=json.dumps({"size": size})),
                [InputTag(MLFLOW_DATASET_CONTEXT, split)],
            )
            for split, (digest, size) in splits.items()
        ]
        self._client.log_inputs(self.run_id, inputs)

    def describe(self, text: str) -> None:
        """Set the description shown at the top of the run's page."""
        self._client.set_tag(self.run_id, MLFLOW_RUN_NOTE, text)

    def log_texts(self, texts: Mapping[str, str], folder: str) -> None:
        """Keep texts, by file name, in a folder of the run's artifacts."""
        with tempfile.TemporaryDirectory() as temporary:
            for name, text in texts.items():
                Path(temporary, name).write_text(text, encoding="utf-8", errors="surrogateescape")
            self._client.log_artifacts(self.run_id, temporary, folder)

    def log_table(self, table: pa.Table, name: str) -> None:
        """Keep a table as a Parquet artifact."""
        with tempfile.TemporaryDirectory() as folder:
            pq.write_table(table, Path(folder) / name)
            self._client.log_artifact(self.run_id, str(Path(folder) / name))

    def log_figure(self, figure: Any, name: str) -> None:
        """Keep a matplotlib figure as an artifact."""
        self._client.log_figure(self.run_id, figure, name)


def prepare(uri: str, slug: str) -> str:
    """Create the store's tables and the experiment once, before several processes use them; return its id.

    Raises:
        ConfigError: the store cannot be used, or the experiment lies in its bin.
    """
    try:
        with locked(uri):
            client = _client(uri)
            found = client.get_experiment_by_name(slug)
            if found is None:
                return _create(client, slug)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        raise ConfigError(f"tracking.uri = {uri!r}: MLflow cannot use this store: {error}") from error
    if found.lifecycle_stage != "active":
        raise ConfigError(f"slug = {slug!r}: this MLflow experiment was deleted; restore it, or choose another slug")
    return found.experiment_id


def _create(client: MlflowClient, slug: str) -> str:
    """The id of a new experiment, or of the one that another machine has just created."""
    try:
        return client.create_experiment(slug, tags=TRAINING)
    except MlflowException:
        if (found := client.get_experiment_by_name(slug)) is None:
            raise
        return found.experiment_id


@contextmanager
def run(
    config: Config, name: str, tags: Mapping[str, Any], parent: str | None = None, resume: str | None = None
) -> Iterator[Run]:
    """An MLflow run around a block; its status says truly how the block ended: FINISHED, FAILED or KILLED.

    Args:
        config: what is trained.
        name: of a new run.
        tags: beside those that describe `config`; a run that is gone on with gets them too.
        parent: id of the run that a new one is nested under.
        resume: id of the run to go on with, instead of a new one.
    """
    experiment, client = prepare(config.tracking.uri, config.slug), _client(config.tracking.uri)
    marks = {MLFLOW_RUN_NAME: name, **_describing(config), **({MLFLOW_PARENT_RUN_ID: parent} if parent else {})}
    texts = {key: str(value) for key, value in {**marks, **tags}.items()}  # a server takes nothing else
    if resume:
        Run(client, resume).tag(tags)
    run_id = resume or client.create_run(experiment, tags=texts).info.run_id
    tracked = Run(client, run_id, _known(client, run_id) if resume else ())
    status = "FAILED"
    try:
        if not resume:
            client.log_batch(tracked.run_id, params=_parameters(config))
        yield tracked
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        tracked.tag({"outcome": "killed"})
        raise
    except Pruned as reason:
        status = "FINISHED"
        tracked.tag({"outcome": "pruned"})
        tracked.describe(f"**pruned**: {reason}.")
        raise
    except Exception as error:
        tracked.log_texts({"traceback.txt": traceback.format_exc()}, "failure")
        tracked.tag({"outcome": "failed", "error": f"{type(error).__name__}: {error}"[:5000]})
        raise
    finally:
        client.set_terminated(tracked.run_id, status)


def _known(client: MlflowClient, run_id: str) -> set[tuple[str, int]]:
    """Key and update of every point of a run that is gone on with; how it ended the last time is forgotten."""
    client.update_run(run_id, "RUNNING")
    data = client.get_run(run_id).data
    for key in {"outcome", "error"} & set(data.tags):
        client.delete_tag(run_id, key)
    return {(key, point.step) for key in data.metrics for point in client.get_metric_history(run_id, key)}


def open_parent(uri: str, slug: str, plan: str, known: str | None = None) -> str:
    """Start the run that a sweep's runs are nested under, or go on with the `known` one; return its id."""
    experiment, client = prepare(uri, slug), _client(uri)
    if known is None or not client.search_runs([experiment], f"attributes.run_id = '{known}'"):
        known = client.create_run(experiment, tags={MLFLOW_RUN_NAME: f"sweep {slug}", "kind": "sweep"}).info.run_id
    client.update_run(known, "RUNNING")
    client.log_text(known, plan, "plan.yaml")
    return known


def close_parent(uri: str, run_id: str, status: str, counts: Mapping[Any, int], best: str = "") -> None:
    """End a sweep's run with its counts as tags, and the best of every arm as its description."""
    client = _client(uri)
    tracked = Run(client, run_id)
    tracked.tag(counts)
    tracked.describe(best)
    client.set_terminated(run_id, status)


def supersede(uri: str, run_ids: Iterable[str]) -> None:
    """Say of confirmations that a longer search has found a better winner: reports leave them out."""
    for run_id in run_ids:
        if is_there(uri, run_id):
            Run(_client(uri), run_id).tag({"phase": "superseded"})


def is_there(uri: str, run_id: str) -> bool:
    """Whether the store has a run, not in its bin."""
    try:
        return _client(uri).get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException:
        return False


def end_lost(uri: str, slug: str, running: Callable[[], Collection[int]]) -> None:
    """Say of a study's runs that their process is gone: KILLED.

    Args:
        uri: of the store.
        slug: of the study.
        running: gives the numbers of the trials that are under way. It is asked after the store, so that a run which
            starts in between is not taken for lost.
    """
    client, experiment = _client(uri), prepare(uri, slug)
    begun = client.search_runs(
        [experiment], f"attributes.status = 'RUNNING' and tags.study = '{slug}'", max_results=5000
    )
    alive = running()
    for lost in begun:
        if int(lost.data.tags["trial"]) not in alive:
            client.set_tag(lost.info.run_id, "outcome", "killed")
            client.set_terminated(lost.info.run_id, "KILLED")


def _client(uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri=uri)


def _describing(config: Config) -> dict[str, str]:
    """Tags to tell runs apart by in the table."""
    k2 = config.bptt.k2 or "full"
    tags = {
        "task": config.task.name,
        "family": config.task.family,
        "model": config.model.name,
        "loss": config.loss.name,
        "k1": config.bptt.k1 or k2,
        "k2": k2,
        "clip": config.clip.name,
        "seed": config.seed,
    }
    return {key: str(value) for key, value in tags.items()}


def _parameters(config: Config) -> list[Param]:
    """The configuration, for the table's columns."""
    return [Param(key, value) for key, value in flat_record(config).items()]
