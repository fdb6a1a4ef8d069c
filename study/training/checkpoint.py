"""The state of a run in a file, and going on from it to the same bits.

A resumed run goes through the motions of what was done before, without the work: Lightning counts its steps, epochs and
validations as it did then, callbacks (early stopping, a sweep's pruner, the charts) see the same numbers again, and
after the last step that was kept the training itself goes on. Lightning's own way to resume within an epoch would
repeat batches and skip validations.
"""

import os
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from filelock import FileLock, Timeout

from study.errors import ConfigError

FOLDER = Path("outputs/checkpoints")
"""Where runs of the command line keep theirs."""

PATIENCE = 10
"""Seconds to wait for another process that is leaving a run; then it is an error."""

KEYS = {"model", "optimizer", "history", "probes", "carry", "random", "seconds", "steps", "validations"}
"""What is in a state: all that decides how the training goes on."""


def path(folder: Path, run_id: str) -> Path:
    """The checkpoint of an MLflow run."""
    return folder / f"{run_id}.ckpt"


def find(run_id: str) -> Path:
    """The folder under `outputs/` that has the checkpoint of a run, of the command line's or of a sweep's."""
    return next((file.parent for file in FOLDER.parent.rglob(path(Path(), run_id).name)), FOLDER)


def is_held(file: Path) -> bool:
    """Whether a process of this machine is training the run of this checkpoint."""
    try:
        with _lock(file).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _lock(file: Path) -> FileLock:
    """Held while a run is trained; its holder's death, of whatever cause, opens it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(file.with_suffix(".lock"))


def load(file: Path) -> dict[str, Any]:
    """A state as it was kept: tensors and plain values; nothing in the file is executed.

    Raises:
        ConfigError: the file is no checkpoint.
    """
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes of torch, pickle and zip
        raise ConfigError(f"{file} is no checkpoint of a run: {error}") from error
    if missing := KEYS - set(state if isinstance(state, dict) else ()):
        raise ConfigError(f"{file} is no checkpoint of a run: it has no {', '.join(sorted(missing))}")
    return state


class Journal:
    """What a run has been through, so that the motions can be gone through again.

    Attributes:
        steps: updates made after each Lightning step.
        validations: the measures of each validation.
    """

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.validations: list[dict[str, float]] = []
        self._step = self._validation = 0

    @property
    def replaying(self) -> bool:
        """Whether the next step has been made before."""
        return self._step < len(self.steps)

    def step(self, updates: int) -> None:
        """Note a step that was made."""
        self.steps.append(updates)
        self._step += 1

    def next_step(self) -> int:
        """Updates after the next step that was made before."""
        self._step += 1
        return self.steps[self._step - 1]

    @property
    def validated(self) -> bool:
        """Whether the next validation has been made before."""
        return self._validation < len(self.validations)

    def validation(self, measures: dict[str, float] | None) -> dict[str, float]:
        """The measures of this validation: `measures`, noted, or those from before."""
        if measures is not None:
            self.validations.append(measures)
        self._validation += 1
        return self.validations[self._validation - 1]


class Checkpoint(pl.Callback):
    """Keeps the state after a Lightning step, every so many seconds and at the end: whole or not at all."""

    def __init__(self, file: Path, seconds: float):
        self._file, self._seconds, self._kept = file, seconds, time.monotonic()
        self._lock = _lock(file)
        self._lock.acquire(timeout=PATIENCE)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: object) -> None:
        """Keep the state, if the last time is a while ago."""
        if time.monotonic() - self._kept >= self._seconds and not pl_module.journal.replaying:
            self._keep(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Keep the last state."""
        self._keep(pl_module)

    def teardown(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Nobody trains this run any more."""
        self._lock.release()

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """The same, for a run that was interrupted or failed."""
        self._lock.release()

    def _keep(self, module: Any) -> None:
        part = self._file.with_suffix(".part")
        torch.save(module.state(), part)
        os.replace(part, self._file)
        self._kept = time.monotonic()
