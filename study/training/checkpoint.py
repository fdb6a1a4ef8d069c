"""Checkpoints: the state of a run in a file, and resuming from it to the same bits.

A resumed run replays what was done before without the work: Lightning counts its steps, epochs and validations as it
did then, on empty batches; callbacks (early stopping, a sweep's pruner, the charts) see the recorded numbers again; and
after the last recorded step training continues from the restored state. Lightning's own way to resume within an epoch
would repeat batches and skip validations.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from filelock import FileLock, Timeout

from study.disk import reason, whole
from study.errors import ConfigError, Unwritable
from study.installation import about
from study.schema.run import TrainerConfig
from study.tracking.place import Place

FOLDER = Path("outputs/checkpoints")
"""Where runs of the command line keep their checkpoints."""

PATIENCE = 10
"""Seconds to wait for another process that is just leaving the run, before that is an error."""

WITHOUT = "if you remove it, the same command starts the run again"
"""What can be done about a file that is of no use."""

KEYS = {"model", "optimizer", "history", "probes", "carry", "random", "seconds", "steps", "validations"}
"""What every checkpoint has; see `RecurrentModule.state`."""
ADDED: dict[str, Any] = {name: {} for name in ("clip", "schedule", "regularizer", "bptt", "pace", "best")}
ADDED |= {"initial_norm": None, "batches": 0}
"""What checkpoints have since a later version, with the value that older ones mean: no clip policy had a state then,
rates were constant, nothing was added to a loss, no gradient was divided, all were made between Lightning steps, and no
weights were kept beside the last."""


def path(folder: Path, run_id: str) -> Path:
    """The checkpoint of an MLflow run."""
    return folder / f"{run_id}.ckpt"


def find(run_id: str) -> Path:
    """The folder under `outputs/` with the checkpoint of a run, whether it was made alone or by a sweep."""
    return next((file.parent for file in FOLDER.parent.rglob(path(Path(), run_id).name)), FOLDER)


def is_held(file: Path) -> bool:
    """Whether a process of this machine is training the run of this checkpoint."""
    try:
        with _lock(file).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _lock(file: Path) -> FileLock:
    """The lock held while a run is trained; the system releases it however the holder dies."""
    file.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(file.with_suffix(".lock"))


def load(file: Path) -> dict[str, Any]:
    """Read a state: tensors on the CPU and plain values; nothing in the file is executed.

    Raises:
        ConfigError: the file is no checkpoint.
    """
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in torch, pickle or zip, in many ways
        raise ConfigError(f"{file} is no checkpoint of a run: {reason(error)}; {WITHOUT}") from error
    if missing := KEYS - set(state if isinstance(state, dict) else ()):
        raise ConfigError(f"{file} is no checkpoint of a run: it has no {', '.join(sorted(missing))}; {WITHOUT}")
    return ADDED | state


@contextmanager
def fitting() -> Iterator[None]:
    """Explain why a state that was loaded cannot be put into a run.

    Raises:
        ConfigError: in place of whatever its parts raise, which are read where they are put.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise  # no fault of the state
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {reason(error)}"
        raise ConfigError(
            f"its checkpoint holds no state of this run, as this version has it ({said}); "
            "if you remove it, a run that is resumed starts again"
        ) from error


def save(state: dict[str, Any], file: Path) -> None:
    """Write a state, whole or not at all."""
    with whole(file) as part, part.open("wb") as opened:
        try:
            torch.save(state, opened)  # by Python's file, whose errors say what is wrong; those of torch's own do not
        except RuntimeError as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # a signal while torch called the file: it is no error
                raise error.__context__ from None
            raise


def to_continue(place: Place) -> tuple[dict[str, Any] | None, bool]:
    """The state that a run continues, if any, and whether it is its own: else it begins, at another run's or at none.

    A run that is resumed may have none: it was killed before the first was saved.

    Raises:
        ConfigError: the file is no checkpoint.
    """
    if place.start is not None:
        return ADDED | place.start, False
    if place.resume is None or place.checkpoints is None or not path(place.checkpoints, place.resume).is_file():
        return None, False
    return load(path(place.checkpoints, place.resume)), True


@contextmanager
def resumable(place: Place) -> Iterator[Callable[[str], None]]:
    """Let an error of the disk, or a Ctrl-C, that ends a run say how the run is resumed, once the store has it.

    Yields:
        What announces the run, by its MLflow run id, when it begins.
    """
    announced: list[str] = []

    def announce(run_id: str) -> None:
        announced.append(run_id)
        place.announce(run_id)

    try:
        yield announce
    except Unwritable as error:
        for run_id in announced:
            error.then = _how_to_resume(place, run_id)
        raise
    except KeyboardInterrupt as interrupt:
        interrupt.args = tuple(_how_to_resume(place, run_id) for run_id in announced)
        raise


def _how_to_resume(place: Place, run_id: str) -> str:
    command = f"`{about('resume', run_id)}`"
    try:
        updates = len(load(path(place.checkpoints or FOLDER, run_id))["history"]["rows"])
    except ConfigError:
        return f"{command} makes the run from its start: it has no checkpoint yet"
    return f"{command} continues the run from update {updates:,}, its last checkpoint"


class Journal:
    """Every Lightning step and validation of a run, for the replay when it is resumed.

    Attributes:
        steps: total number of updates after each Lightning step.
        validations: the measures of each validation.
    """

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.validations: list[dict[str, float]] = []
        self._step = self._validation = 0

    @property
    def replaying(self) -> bool:
        """Whether the next step was made before the interruption."""
        return self._step < len(self.steps)

    def step(self, updates: int) -> None:
        """Record a step that was just made."""
        self.steps.append(updates)
        self._step += 1

    def next_step(self) -> int:
        """Replay a recorded step; return the total number of updates after it."""
        self._step += 1
        return self.steps[self._step - 1]

    @property
    def validated(self) -> bool:
        """Whether the next validation was made before the interruption."""
        return self._validation < len(self.validations)

    def validation(self, measures: dict[str, float] | None) -> dict[str, float]:
        """Record the measures of a validation and return them; None: replay one, return those recorded."""
        if measures is not None:
            self.validations.append(measures)
        self._validation += 1
        return self.validations[self._validation - 1]


class Checkpoint(pl.Callback):
    """Saves the state after a Lightning step, every so many seconds and at the end: whole or not at all.

    Holds the run's lock from its construction to the end of the fit.

    Args:
        file: see `path`.
        seconds: between saves.
    """

    def __init__(self, file: Path, seconds: float):
        self._file, self._seconds, self._saved = file, seconds, time.monotonic()
        self._lock = _lock(file)
        self._lock.acquire(timeout=PATIENCE)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: object) -> None:
        """Save the state, if it is time."""
        if time.monotonic() - self._saved >= self._seconds and not pl_module.journal.replaying:
            self._save(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Save the last state."""
        self._save(pl_module)

    def teardown(self, trainer: pl.Trainer, pl_module: Any, stage: str) -> None:
        """Release the run."""
        self._lock.release()

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Release the run: after an interruption or a failure Lightning calls no teardown."""
        self._lock.release()

    def _save(self, module: Any) -> None:
        save(module.state(), self._file)
        self._saved = time.monotonic()


def saving(plan: TrainerConfig, folder: Path | None, run_id: str) -> list[Checkpoint]:
    """The callback that saves a run's state in `folder`; none where that is not wanted.

    A budget in seconds cannot be resumed: a checkpoint does not say how much of it is left. Nor can callbacks of the
    user: it does not have their state.
    """
    if folder is None or plan.checkpoint is None or plan.max_seconds is not None or plan.callbacks:
        return []
    return [Checkpoint(path(folder, run_id), plan.checkpoint)]
