"""MLflow, read back: runs found by id, name or slug, their tags, numbers and artifacts. See `study.tracking.writer`."""

import math
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy.exc import SQLAlchemyError

from study.disk import reason
from study.errors import ConfigError
from study.tracking import artifacts
from study.tracking.absent import UNMADE, without_runs
from study.tracking.client import client_of
from study.tracking.database import refuse_other
from study.tracking.outcomes import without_ending
from study.tracking.writer import opened

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # a bar for every small file else


@dataclass(frozen=True)
class Logged:
    """One MLflow run read back; what it holds was written by others and is not trusted.

    Attributes:
        uri: of the store it lies in.
        experiment: its id.
        folder: where its artifacts lie.
        status: FINISHED, FAILED, KILLED or RUNNING.
        measures: the last value of every metric.
    """

    uri: str
    experiment: str
    folder: str
    run_id: str
    name: str
    status: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    measures: Mapping[str, float]

    def points(self, keys: Iterable[str] | None = None) -> Iterator[tuple[str, int, float]]:
        """Every (key, update, value) of some metrics, else of every one, in the order they were logged."""
        for key in self.measures if keys is None else [key for key in keys if key in self.measures]:
            for metric in client_of(self.uri).get_metric_history(self.run_id, key):
                yield key, metric.step, metric.value

    def files(self, folder: str | None = None) -> Iterator[str]:
        """Names of all artifacts, folders included in the name."""
        if (here := self._here()) is not None:
            names = artifacts.listing(here)
            yield from (name for name in names if folder is None or name.startswith(f"{folder}/"))
            return
        for file in client_of(self.uri).list_artifacts(self.run_id, folder):
            yield from self.files(_inside(file.path)) if file.is_dir else [_inside(file.path)]

    def read(self, name: str) -> bytes:
        """The bytes of an artifact.

        Raises:
            ConfigError: there is none of this name, or it lies outside the run's own folder.
            Unreadable: it is none that a run would write, see `study.tracking.artifacts`.
        """
        _inside(name)
        try:
            if (here := self._here()) is not None:
                return artifacts.content(here, name)
            return self._downloaded(name)
        except (MlflowException, OSError) as error:
            raise ConfigError(f"run {self.run_id} has no readable artifact {name}: {error}") from error
        except artifacts.Unreadable as error:
            raise artifacts.Unreadable(f"run {self.run_id}: {error}") from error

    def _here(self) -> Path | None:
        """The folder of the artifacts on this machine; None: the server of the store keeps them.

        Raises:
            Unreadable: the store names another address. Asking it would tell its owner who reads what.
        """
        at, server = urlsplit(self.folder), urlsplit(self.uri)
        if at.scheme in ("", "file") and at.netloc in ("", "localhost"):
            return Path(local_file_uri_to_path(self.folder))
        if at.scheme == "mlflow-artifacts" and server.scheme.startswith("http") and at.netloc in ("", server.netloc):
            return None
        raise artifacts.Unreadable(
            f"its artifacts lie at {self.folder!r}: an address that the store chose is not asked; files of this "
            "machine are read, and what the store's own server keeps"
        )

    def _downloaded(self, name: str) -> bytes:
        """An artifact from the server, if it says that it is not too large."""
        client, parent = client_of(self.uri), str(PurePosixPath(name).parent)
        for file in client.list_artifacts(self.run_id, None if parent == "." else parent):
            if file.path == name:
                artifacts.refuse_large(name, file.file_size or 0)
        with tempfile.TemporaryDirectory() as folder:
            here = Path(client.download_artifacts(self.run_id, name, folder))  # where it lies depends on the store
            return artifacts.content(here.parent, here.name)

    def table(self, name: str, columns: Sequence[str] | None = None, optional: Sequence[str] = ()) -> pd.DataFrame:
        """A Parquet artifact, or some of its columns, and of `optional` ones those that it has.

        Raises:
            ConfigError: see `read`.
            Unreadable: it is damaged, or holds more than is read.
        """
        data = self.read(name)
        try:
            found = artifacts.table(data, columns, optional)
            if name == "gradients.parquet" and (texts := found.select_dtypes(exclude=["number"]).columns.tolist()):
                raise artifacts.Unreadable(f"column {texts[0]!r} holds no numbers")
            return found
        except artifacts.Unreadable as error:
            raise artifacts.Unreadable(f"{name} of run {self.run_id}: {error}") from error

    def keep(self, folder: Path, name: str | None) -> None:
        """Log the files of a folder among the artifacts, also after the run has ended.

        Args:
            folder: with the files.
            name: of the folder that they come into; None: they stand beside all others.

        Raises:
            ConfigError: the store does not take artifacts, or would put them where the run has none.
        """
        here = self._here()
        if here is not None and (here.parts[-2:] != (self.run_id, "artifacts") or not here.is_dir()):
            raise ConfigError(f"{folder} is written, but not kept with run {self.run_id}: {here} is not its folder")
        self.log(folder, name)

    def log(self, folder: Path, name: str | None) -> None:
        """The same for a run that this process makes, which may have no artifact yet."""
        try:
            client_of(self.uri).log_artifacts(self.run_id, str(folder), name)
        except (MlflowException, OSError) as error:
            message = f"{folder} is written, but {self.uri} does not take it as an artifact of run {self.run_id}"
            raise ConfigError(f"{message}: {reason(error)}") from error

    def refuse_elsewhere(self, slug: str | None = None) -> None:
        """Refuse to make runs in its experiment, or that of a slug, if their files would not go beside its own.

        Whoever writes a store says where its experiments keep files; only a folder that this run's were found in is
        written to.

        Raises:
            ConfigError: the experiment keeps them elsewhere.
        """
        client = client_of(self.uri)
        found = client.get_experiment_by_name(slug) if slug else client.get_experiment(self.experiment)
        if found is None or (here := self._here()) is None:
            return
        there, own = Path(local_file_uri_to_path(found.artifact_location)), here.parent.parent
        if there.parent != own.parent or here.parts[-2:] != (self.run_id, "artifacts") or not here.is_dir():
            raise ConfigError(
                f"{self.uri}: its experiment {found.name!r} keeps files in {there}, but those of run {self.run_id} lie "
                f"in {here}; nothing is written to where a store says and no run of it lies"
            )

    def tag(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        opened(self.uri, self.run_id).tag(tags)

    def end(self, outcome: str) -> None:
        """Say how it ended, other than what it said itself."""
        opened(self.uri, self.run_id).end({"outcome": outcome})

    @property
    def slug(self) -> str:
        """The name of its experiment."""
        return str(client_of(self.uri).get_experiment(self.experiment).name)

    @property
    def started_as(self) -> str:
        """Its name without what became of it."""
        return without_ending(self.name)


def find(uri: str, wanted: str) -> list[Logged]:
    """The runs that are meant by an id, its start, a run's name, or a slug: then all runs trained under it.

    The name of a run may be given without what became of it.

    Raises:
        ConfigError: there is none, or several runs have this name or start.
    """
    if re.search(r"['\"`%\\\\]", wanted):
        raise ConfigError(f"RUN = {wanted!r}: no run has such a name")
    by_id = search(uri, f"attributes.run_id LIKE '{wanted}%'") if re.fullmatch("[0-9a-f]+", wanted) else []
    named = [] if by_id else search(uri, f"attributes.run_name LIKE '{wanted}%'")  # _ stands for any letter there
    found = by_id or [run for run in named if wanted in (run.name, run.started_as)]
    if len(found) > 1:
        several = "\n".join(f"  {run.run_id}  {run.name}" for run in found)
        raise ConfigError(f"RUN = {wanted!r} is not one run but {len(found)}; give the id:\n{several}")
    if found and found[0].tags.get("kind") != "sweep":
        return found
    if runs := _children(uri, found[0].run_id) if found else _trained(search(uri, slug=wanted)):
        return runs
    why = f"this sweep {UNMADE}" if found else without_runs(uri, wanted)
    raise ConfigError(f"RUN = {wanted!r}: {why or f'no run has this id or name, and no experiment this slug in {uri}'}")


def find_one(uri: str, wanted: str) -> Logged:
    """The one run that is meant by an id, the start of an id, or a name.

    Raises:
        ConfigError: there is none, or it stands for several runs.
    """
    found = find(uri, wanted)
    if len(found) > 1:
        raise ConfigError(f"RUN = {wanted!r} stands for {len(found)} runs; give the id of one")
    return found[0]


def search(uri: str, condition: str = "", slug: str | None = None) -> list[Logged]:
    """Runs that meet MLflow's filter, of one experiment or of all, oldest first."""
    refuse_other(uri)
    client = client_of(uri)
    try:
        experiments = [e.experiment_id for e in client.search_experiments() if slug in (None, e.name)]
        runs, page = [], None
        while experiments:
            found = client.search_runs(experiments, condition, order_by=["attributes.start_time"], page_token=page)
            runs += [_logged(uri, run) for run in found]
            if not (page := found.token):
                break
    except (MlflowException, SQLAlchemyError, ValueError, TypeError, AttributeError) as error:  # of rows it cannot read
        raise ConfigError(f"{uri}: MLflow cannot read this store: {reason(error)}") from error
    return runs


def frame(runs: Sequence[Logged]) -> pd.DataFrame:
    """One row a run, by run id: `logged`, `name`, `status`, and by key `params.*`, `tags.*` (texts), `metrics.*`.

    What a run does not have is missing; infinity, which MLflow's databases keep as the largest float, is back.
    """
    rows = [{"run_id": run.run_id, "logged": run, "name": run.name, "status": run.status, **_flat(run)} for run in runs]
    return pd.DataFrame(rows, columns=None if rows else ["run_id", "logged", "name", "status"]).set_index("run_id")


def _flat(run: Logged) -> dict[str, object]:
    largest = sys.float_info.max
    measures = {k: math.copysign(math.inf, v) if abs(v) >= largest else v for k, v in run.measures.items()}
    kinds: dict[str, Mapping[str, object]] = {"params": run.params, "tags": run.tags, "metrics": measures}
    return {f"{kind}.{key}": value for kind, values in kinds.items() for key, value in values.items()}


def _children(uri: str, parent: str) -> list[Logged]:
    return _trained(search(uri, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'"))


def _trained(runs: Sequence[Logged]) -> list[Logged]:
    """Without those of sweeps, and of questions about others."""
    return [run for run in runs if "kind" not in run.tags]


def _logged(uri: str, run: Any) -> Logged:
    info, data = run.info, run.data
    if not re.fullmatch("[0-9a-f]{32}", info.run_id):  # it becomes a part of paths, filters and commands
        raise ConfigError(f"{uri}: it has a run with the id {info.run_id!r}, which is none of MLflow's")
    return Logged(
        uri,
        info.experiment_id,
        info.artifact_uri,
        info.run_id,
        info.run_name,
        info.status,
        data.tags,
        data.params,
        data.metrics,
    )


def _inside(name: str) -> str:
    """An artifact's name, unless it would lead out of the run's folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise ConfigError(f"artifact {name!r}: it lies outside the folder of its run")
    return name
