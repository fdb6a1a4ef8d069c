"""Writes to MLflow: stores, experiments, runs; what of a run goes where."""

import io
import json
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from study.disk import writing
from study.errors import Pruned, Trouble, Unwritable
from study.masking import masked
from study.terminal import say
from study.tracking import view
from study.tracking.client import client_of
from study.tracking.description import Description
from study.tracking.outbox import Outbox, deliver
from study.tracking.outcomes import format_ending, without_ending
from study.tracking.place import Place
from study.tracking.spool import place as waiting
from study.tracking.store import prepare
from study.tracking.trouble import PATIENCE, agreed, patiently, rolled_back
from study.tracking.writes import Write

STOPPING = 5.0
"""Seconds that a run which was asked to stop waits for a store in trouble: whoever stops it may not wait longer."""


class Run:
    """One MLflow run, open for writing.

    Args:
        run_id: of MLflow.
        send: has one thing written, at once or later.
        experiment: its id; empty where nobody asks for it.
        known: (key, update) of the points it has already. No point is written twice: a resumed run replays them, and
            the end of a run may be validated twice.
        settle: returns when all that was sent is written, or will be even if this process is killed.

    Attributes:
        run_id: of MLflow.
        experiment: its id.
        settle: see above.
    """

    def __init__(
        self,
        run_id: str,
        send: Callable[[Write], None],
        experiment: str = "",
        known: Collection[tuple[str, int]] = (),
        settle: Callable[[], None] = lambda: None,
    ):
        self.run_id, self._send, self.experiment, self._known = run_id, send, experiment, set(known)
        self.settle = settle

    def log_points(self, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Log (update, {key: value}) points; those known already are left out."""
        now = int(time.time() * 1000)
        new = ((key, value, step) for step, values in points for key, value in values.items())
        rows = [(key, float(value), now, step) for key, value, step in new if (key, step) not in self._known]
        self._known |= {(key, step) for key, _, _, step in rows}
        if rows:
            self._send(Write("points", rows))

    def tag(self, tags: Mapping[str, Any]) -> None:
        """Set tags; values are written as text."""
        self._send(Write("tags", {key: str(value) for key, value in tags.items()}))

    def log_parameters(self, parameters: Mapping[str, str]) -> None:
        """Log what defines the run, to be seen and filtered by."""
        self._send(Write("parameters", dict(parameters)))

    def end(self, tags: Mapping[str, Any], description: str = "") -> None:
        """Say how the run ended; its name then says it too.

        Args:
            tags: `outcome` and `cause` among them.
            description: in Markdown, for the top of the run's page; empty: it keeps the one it has.
        """
        self.tag({**tags, MLFLOW_RUN_NOTE: description} if description else tags)
        self._send(Write("ending", format_ending(tags["outcome"], tags.get("cause", "none"))))

    def terminate(self, status: str) -> None:
        """Set MLflow's status, and that it ended now."""
        self._send(Write("status", [status, int(time.time() * 1000)]))

    def log_data(self, name: str, source: str, splits: Mapping[str, tuple[str, int]]) -> None:
        """Log the data set as the run's inputs, one a split.

        Args:
            name: of the data set.
            source: where it is from, an address or words; `mlflow.data.get_source` reads it back.
            splits: digest and size of what was really used, by split.
        """
        kind, origin = ("http", {"url": source}) if source.startswith("https:") else ("local", {"uri": source})
        one = {"name": name, "source_type": kind, "source": json.dumps(origin)}
        inputs = {
            split: {**one, "digest": digest, "profile": json.dumps({"size": size})}
            for split, (digest, size) in splits.items()
        }
        self._send(Write("inputs", inputs))

    def describe(self, text: str) -> None:
        """Set the description at the top of the run's page, in Markdown."""
        self.tag({MLFLOW_RUN_NOTE: text})

    def log_files(self, files: Mapping[str, bytes], folder: str | None = None) -> None:
        """Write files, by name, into a folder of the run's artifacts, or beside all folders."""
        self._send(Write("files", {"folder": folder, "files": dict(files)}))

    def log_texts(self, texts: Mapping[str, str], folder: str | None = None) -> None:
        """The same for texts; nothing is written where there are none."""
        if texts:
            self.log_files({name: text.encode(errors="surrogateescape") for name, text in texts.items()}, folder)

    def log_table(self, table: pa.Table, name: str) -> None:
        """Write a table as a Parquet artifact."""
        pq.write_table(table, buffer := io.BytesIO())
        self.log_files({name: buffer.getvalue()})


def opened(uri: str, run_id: str) -> Run:
    """A run that is there, to be written to at once: an error is raised where it happens."""
    return Run(run_id, _maker(uri, run_id))


def _maker(uri: str, run_id: str) -> Callable[[Write], None]:
    client = client_of(uri)

    def make(write: Write) -> None:
        with writing(uri):
            write.make(client, run_id)

    return make


@contextmanager
def run(described: Description, place: Place, tags: Mapping[str, Any] | None = None) -> Iterator[Run]:
    """An MLflow run around a block; its status is how the block ended: FINISHED, FAILED or KILLED.

    Args:
        described: what is trained; written at the start of a new run.
        place: where the run belongs; a resumed run keeps its name and parent, and gets the tags.
        tags: more tags, of a new and of a resumed run.
    """
    added = {**(tags or {}), **place.tags}
    with writing(described.uri):
        experiment, run_id, known, described_before = _begin(described, place, added)
    outbox = Outbox(_maker(described.uri, run_id), run_id, described.uri)
    tracked, status = Run(run_id, outbox.put, experiment, known, outbox.settle), "FAILED"
    try:
        if place.resume:
            tracked.tag(added)
        if not described_before:
            tracked.log_parameters(described.parameters)
        with writing(described.uri):
            yield tracked
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        tracked.end({"outcome": "killed"})
        raise
    except Unwritable as error:
        status = "KILLED"  # no result of the run, which can be continued
        tracked.end({"outcome": "killed", "error": str(error)})
        raise
    except Pruned as reason:
        status = "FINISHED"
        tracked.end({"outcome": "pruned"}, f"**pruned**: {reason}.")
        raise
    except Exception as error:
        tracked.log_texts({"traceback.txt": masked(traceback.format_exc())}, "failure")
        tracked.end({"outcome": "failed", "error": masked(f"{type(error).__name__}: {error}")[:5000]})
        raise
    finally:
        with suppress(Unwritable):  # it waits in memory all the same
            tracked.terminate(status)
        _close(outbox, status)


def _close(outbox: Outbox, status: str) -> None:
    """Wait until all of a run is written; of one that raises an error of its own, what is left over is only said."""
    try:
        outbox.close(STOPPING if status == "KILLED" else PATIENCE)
    except Trouble as left:
        if status == "FINISHED":
            raise
        say(left, sys.stderr)


def _begin(
    described: Description, place: Place, tags: Mapping[str, Any]
) -> tuple[str, str, set[tuple[str, int]], bool]:
    """Make a run, or open the one that is resumed; a store in trouble is waited for as long as its place says.

    Returns:
        Ids of experiment and run, key and update of the points it has, and whether it has parameters.
    """
    waited = described.uri, place.patience
    experiment, client = prepare(described.uri, described.slug, place.patience), client_of(described.uri)
    if "primary" in tags:
        patiently(lambda: _show(client, experiment, str(tags["primary"])), *waited)
    if (resumed := place.resume) is not None:
        return experiment, resumed, *patiently(lambda: _reopen(client, resumed, place.patience), *waited)
    run_id = patiently(lambda: _start(client, experiment, described, place, tags), *waited, rolled_back)
    return experiment, run_id, set(), False


def _start(client: MlflowClient, experiment: str, described: Description, place: Place, tags: Mapping[str, Any]) -> str:
    """Create a run, its tags in the same call: whoever sees the run sees them."""
    mlflow_tags = {MLFLOW_RUN_NAME: place.name or described.name}
    if place.parent:
        mlflow_tags[MLFLOW_PARENT_RUN_ID] = place.parent
    texts = {key: str(value) for key, value in tags.items()}  # a server takes nothing else
    return str(client.create_run(experiment, tags={**mlflow_tags, **described.tags, **texts}).info.run_id)


def _show(client: MlflowClient, experiment: str, measure: str) -> None:
    """Let the view of an experiment show the measure that ranks a run; see `study.tracking.view`."""
    for key, value in view.updated(client.get_experiment(experiment).tags, measure).items():
        agreed(partial(client.set_experiment_tag, experiment, key, value))


def _reopen(client: MlflowClient, run_id: str, patience: float) -> tuple[set[tuple[str, int]], bool]:
    """Deliver what an interrupted run has left, and forget how it ended.

    Returns:
        Key and update of the points it has, and whether it has parameters: it may have been killed before.
    """
    if (left := waiting(run_id)).is_file():
        deliver(left, patience)
    found = client.get_run(run_id)
    client.update_run(run_id, "RUNNING", without_ending(found.info.run_name))
    for key in {"outcome", "error"} & set(found.data.tags):
        client.delete_tag(run_id, key)
    metrics = found.data.metrics
    known = {(key, point.step) for key in metrics for point in client.get_metric_history(run_id, key)}
    return known, bool(found.data.params)
