"""What is written to a run, as data: it can wait, in memory or in a file, and still reach MLflow in order.

Each of them may be made twice: a point has its time, a file its name. So one whose answer was lost is made again.
"""

import base64
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_RUN_NAME

from study.tracking.outcomes import with_ending
from study.tracking.trouble import agreed

BATCH = 1000
"""Most values that MLflow takes in one call."""


def _points(client: MlflowClient, run_id: str, points: Sequence[Sequence[Any]]) -> None:
    """Points of charts: key, value, milliseconds since 1970, update."""
    for first in range(0, len(points), BATCH):
        client.log_batch(run_id, metrics=[Metric(*point) for point in points[first : first + BATCH]])


def _parameters(client: MlflowClient, run_id: str, parameters: Mapping[str, str]) -> None:
    client.log_batch(run_id, params=[Param(*item) for item in parameters.items()])


def _tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    client.log_batch(run_id, tags=[RunTag(*item) for item in tags.items()])


def _inputs(client: MlflowClient, run_id: str, inputs: Mapping[str, Mapping[str, str]]) -> None:
    """Data sets, by split: the arguments of MLflow's `Dataset`."""
    sets = [DatasetInput(Dataset(**data), [InputTag(MLFLOW_DATASET_CONTEXT, split)]) for split, data in inputs.items()]
    agreed(lambda: client.log_inputs(run_id, sets))


def _files(client: MlflowClient, run_id: str, given: Mapping[str, Any]) -> None:
    """The content of files, by name, and the folder of the artifacts they come into; None: beside all others."""
    with tempfile.TemporaryDirectory() as temporary:
        for name, content in given["files"].items():
            if PurePosixPath(name).name != name or ".." in PurePosixPath(given["folder"] or "").parts:
                raise ValueError(f"artifact {name!r} in {given['folder']!r}: it would lie outside the run's folder")
            Path(temporary, name).write_bytes(content)
        client.log_artifacts(run_id, temporary, given["folder"])


def _ending(client: MlflowClient, run_id: str, ending: str) -> None:
    """An ending of the run's name, in the place of the one it may have."""
    client.set_tag(run_id, MLFLOW_RUN_NAME, with_ending(client.get_run(run_id).info.run_name, ending))


def _status(client: MlflowClient, run_id: str, ended: Sequence[Any]) -> None:
    """FINISHED, FAILED or KILLED, and when: milliseconds since 1970."""
    client.set_terminated(run_id, *ended)


KINDS: dict[str, Callable[[MlflowClient, str, Any], None]] = {
    "points": _points, "parameters": _parameters, "tags": _tags, "inputs": _inputs, "files": _files,
    "ending": _ending, "status": _status,
}  # fmt: skip
"""How each is made."""


@dataclass(frozen=True)
class Write:
    """One thing that is written to a run.

    Attributes:
        kind: of `KINDS`.
        content: what the function of its kind takes; values that JSON has, and bytes.
    """

    kind: str
    content: Any

    def make(self, client: MlflowClient, run_id: str) -> None:
        """Write it."""
        KINDS[self.kind](client, run_id, self.content)

    @property
    def size(self) -> int:
        """Bytes in memory, roughly."""
        files = self.content["files"].values() if self.kind == "files" else ()
        return sum(map(len, files)) or 200 * len(self.content)

    def line(self) -> bytes:
        """As a line of a file."""
        return json.dumps([self.kind, self.content], default=_as_text).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "Write":
        """What a line of a file holds.

        Raises:
            ValueError: it is none that `line` returned.
        """
        kind, content = json.loads(line, object_hook=_as_bytes)
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
        return cls(kind, content)


def _as_text(content: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(content).decode()}


def _as_bytes(read: dict[str, Any]) -> Any:
    return base64.b64decode(read["base64"]) if [*read] == ["base64"] else read
