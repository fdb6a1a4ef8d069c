"""Scores of opponents, fitted once for each data set and kept as JSON files."""

import logging
import os
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from study.disk import whole
from study.errors import Unwritable
from study.opponents.contract import measure
from study.opponents.registry import fit, named
from study.schema.task import TaskConfig
from study.tasks import Split, Task

VERSION = 1
"""Of fitting and measuring, all opponents together; raise it when a score changes, so that kept ones are not read."""
SPLITS: tuple[Split, ...] = ("val", "test")
IRRELEVANT = {"batch_size", "horizon", "test_lengths", "path", "validation_path", "test_path"}
"""Keys of a task that no score depends on: what they change is in the digest of the data, if it is anywhere."""


class Score(BaseModel):
    """What an opponent reaches.

    Attributes:
        label: what a reader calls it.
        seconds: of the processor, for fitting and measuring.
        metrics: the task's measures by name, of the validation and the test split.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    label: str
    seconds: float
    metrics: dict[Split, dict[str, float]]


def scores(
    task: Task, config: TaskConfig, digest: str, folder: Path | None, bidirectional: bool = False
) -> dict[str, Score]:
    """The scores of the opponents that a task names, by name, in the task's order.

    The first process to ask for an opponent fits it, in seconds, and writes its score to `folder`; others wait for it
    and read. A file that cannot be understood is written anew; where the folder cannot be written nothing is kept.

    Args:
        task: built from `config`.
        config: of the task.
        digest: of the data of all splits, such as a run's tag `data_digest`.
        folder: of the files; None: fit every time.
        bidirectional: the network reads sequences both ways, so opponents that read ahead are fair.

    Raises:
        ConfigError: the task names an opponent that does not exist.
    """
    key = _key(task, config, digest)
    return {name: _kept(name, task, folder, f"{key}-{name}-{VERSION}") for name in named(task, bidirectional)}


def _key(task: Task, config: TaskConfig, digest: str) -> str:
    """What scores depend on.

    A digest of standardised data does not tell of their units, nor of the names of classes; the baseline's measures on
    one batch do.
    """
    metrics, batch = task.metrics(), next(task.batches("val").epoch(0))
    metrics.update(task.baseline(batch), batch)
    parts = digest, config.model_dump_json(exclude=IRRELEVANT), _rounded(metrics.compute())
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def _rounded(metrics: Mapping[str, float]) -> str:
    """So that the last bits of a sum, which differ between machines, do not count."""
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def _kept(name: str, task: Task, folder: Path | None, stem: str) -> Score:
    """The score in the folder, made if it is not there."""
    if folder is None or not _writable(folder):
        return _score(name, task)
    file = folder / f"{stem}.json"
    with FileLock(folder / f"{stem}.lock"):
        try:
            return Score.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            score = _score(name, task)
            _write(file, score)
            return score


def _score(name: str, task: Task) -> Score:
    start = time.process_time()
    fitted = fit(name, task)
    metrics = {split: measure(fitted, task, split) for split in SPLITS}
    return Score(label=fitted.label, seconds=time.process_time() - start, metrics=metrics)


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _warn(error)
        return False
    return os.access(folder, os.W_OK)


def _warn(error: Exception) -> None:
    logging.getLogger(__name__).warning("scores of opponents are not kept: %s", error)


def _write(file: Path, score: Score) -> None:
    """Whole or not at all; a disk that is full does without."""
    try:
        with whole(file) as part:
            part.write_text(score.model_dump_json(indent=1))
    except Unwritable as error:
        _warn(error)
