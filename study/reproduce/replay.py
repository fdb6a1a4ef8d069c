"""The state of a logged run after one of its updates: kept from before, or made by training up to there again.

The run itself is left as it was: a replay writes to no store. It is one only if it gives the same bits, so every update
on the way is compared with the record.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from jaxtyping import Float

from study.errors import ConfigError
from study.learning.bptt import expected_updates
from study.reproduce.compare import HISTORY, history, unrecorded
from study.schema import Config
from study.tasks import Batches
from study.tracking.reader import Logged
from study.train import assemble
from study.training import checkpoint
from study.training.module import RecurrentModule
from study.training.trainer import fit

FOLDER = Path("outputs/replays")
"""Where states are kept, so that a second question about the same update need not wait."""
ENDLESS = 1e9
"""Seconds, longer than any run."""

Rows = Float[np.ndarray, "_ columns"]


class InsideBatch(ConfigError):
    """A run cannot be taken up after an update, for it lies inside a batch.

    Attributes:
        reached: the update with which the batch ends; the state after it is kept.
    """

    def __init__(self, update: int, reached: int):
        super().__init__(
            f"update = {update}: it lies inside a batch, and a run can be taken up between batches; the next place is "
            f"after update {reached}"
        )
        self.reached = reached


def state_at(run: Logged, config: Config, update: int, start: dict[str, Any] | None = None) -> Path:
    """Return the file with the state of a run after an update.

    Args:
        run: that was trained.
        config: its configuration, restored.
        update: from 1 to the last one that left finite numbers.
        start: the state that the run itself began with, where it is a fork.

    Raises:
        ConfigError: the run has no such update; or the update lies inside a batch, of which states cannot be kept; or
            this machine does not compute what the run computed.
    """
    record, forked_at = refuse(run, update), 0 if start is None else len(start["history"]["rows"])
    if update < forked_at:
        raise not_its_own(run, update, forked_at)
    if (file := place(run, update)).is_file() and _differs(checkpoint.load(file), record) is None:
        return file
    module = replay(config, update, file, nearest(run, record, update) or start)
    prove(run, module, record)
    reached = len(module.history)
    if reached != update:
        file.replace(place(run, reached))
        raise InsideBatch(update, reached)
    return file


def not_its_own(run: Logged, update: int, forked_at: int) -> ConfigError:
    """The error that says that a fork goes on from a later update of another run."""
    return ConfigError(
        f"update = {update}: run {run.run_id} goes on from update {forked_at:,} of the run it forks, which made this "
        "one: ask that run"
    )


def refuse(run: Logged, update: int) -> Rows:
    """Return a run's history, unless it has no state after an update that a run could go on from.

    Raises:
        ConfigError: naming the updates that it has.
    """
    record = recorded(run)
    last = len(record) - 1 if run.tags.get("outcome") == "diverged" else len(record)
    if not 1 <= update <= last:
        raise ConfigError(f"update = {update}: run {run.run_id} can be taken up after updates 1 to {last:,}")
    return record


def replay(
    config: Config,
    update: int | None,
    file: Path | None = None,
    state: dict[str, Any] | None = None,
    pause: Callable[[RecurrentModule], None] | None = None,
) -> RecurrentModule:
    """Train again up to the end of the batch in which an update is made, from the start or from an earlier state.

    Args:
        config: of the run.
        update: to reach; None: where the budget ends.
        file: where the state that is reached is kept; None: nowhere.
        state: to go on from.
        pause: called before every batch, where the module's state is valid.

    Returns:
        The module as it is then.
    """
    endless = {"max_seconds": ENDLESS} if config.trainer.max_seconds is not None else {}
    _, module = assemble(config)
    if state is not None:
        module.load_state(state)
    module.hold, module.pause = update, pause
    fit(module, config.trainer.model_copy(update=endless), config.seed, [] if file is None else [_Keep(file)])
    return module


def at_end(run: Logged, config: Config, start: dict[str, Any] | None = None) -> RecurrentModule:
    """Return a run's module as it was after its last update, to be measured, not trained.

    From a state that was kept there, else by training again from the nearest one.

    Args:
        run: that has ended.
        config: its configuration, restored.
        start: see `state_at`.

    Raises:
        ConfigError: this machine does not compute what the run computed.
    """
    record = recorded(run)
    states = [checkpoint.load(file) for file in _states(run)]
    ended = [state for state in states if len(state["history"]["rows"]) == len(record)]
    if kept := next((state for state in ended if _differs(state, record) is None), None):
        module = assemble(config)[1]
        module.load_state(kept)
        return module.as_restored()
    until = None if config.trainer.max_seconds is None else len(record)
    module = replay(config, until, None, nearest(run, record, len(record)) or start)
    prove(run, module, record)
    return module


def between_batches(config: Config, batches: Batches, update: int) -> int:
    """The last update, no later than one, after which a batch ends: 0 where that is before the first.

    Where the number of updates a batch makes is random, their mean stands for it, and the place may be none.

    Args:
        config: of the run.
        batches: that it was trained on.
        update: from 0.
    """
    made, stop, epoch = 0, 0.0, 0
    while True:
        for batch in batches.epoch(epoch):
            stop += expected_updates(config.bptt, batch, batches.stream)
            if stop > update:
                return made
            made = int(stop)
        epoch += 1


class _Keep(pl.Callback):
    """Saves the state of a run that is held, before anything is done at its end."""

    def __init__(self, file: Path):
        self._file = file

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: RecurrentModule, *_: object) -> None:
        """In the Lightning step in which it was reached."""
        if pl_module.hold is not None and len(pl_module.history) >= pl_module.hold:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.save(pl_module.state(), self._file)


def recorded(run: Logged) -> Rows:
    """Every row of a run's history, as it was written.

    Raises:
        ConfigError: it recorded no update.
    """
    if HISTORY not in run.files() or not len(found := history(run)):
        raise ConfigError(unrecorded(run))
    return found.drop(columns="update").to_numpy(np.float32)


def place(run: Logged, update: int) -> Path:
    """The file of a run's state after an update."""
    return FOLDER / f"{run.run_id}-{update}.ckpt"


def prove(run: Logged, module: RecurrentModule, record: Rows) -> None:
    """Compare the updates of a replay with those recorded.

    Raises:
        ConfigError: one of them differs; it is named.
    """
    wrong = _first_difference(module.history.rows(), record)
    if wrong is not None:
        update, column = wrong
        name, here = module.history.columns[column], module.history.rows()[update - 1, column]
        raise ConfigError(
            f"run {run.run_id} cannot be taken up: here it trains other numbers, first at update {update} ({name} "
            f"{record[update - 1, column]:.8g} then, {here:.8g} here). `make reproduce RUN={run.run_id}` shows what "
            "differs between then and here"
        )


def _first_difference(found: Rows, record: Rows) -> tuple[int, int] | None:
    """Update, from 1, and column of the first number that is not the same bits; any NaN equals any other."""
    shared = min(len(found), len(record))
    found, record = found[:shared], record[:shared]
    same = (found.view(np.int32) == record.view(np.int32)) | (np.isnan(found) & np.isnan(record))
    wrong = np.argwhere(~same)
    return (int(wrong[0, 0]) + 1, int(wrong[0, 1])) if len(wrong) else None


def _differs(state: dict[str, Any], record: Rows) -> tuple[int, int] | None:
    return _first_difference(state["history"]["rows"].numpy(), record)


def nearest(run: Logged, record: Rows, update: int) -> dict[str, Any] | None:
    """The latest state, at an update or before, from which a run can go on, and whose updates are those recorded."""
    usable: dict[int, dict[str, Any]] = {}
    for file in _states(run):
        state = checkpoint.load(file)
        made = len(state["history"]["rows"])
        if made <= update and _between_batches(file, run, made, record) and _differs(state, record) is None:
            usable[made] = state
    return usable[max(usable)] if usable else None


def _between_batches(file: Path, run: Logged, made: int, record: Rows) -> bool:
    """Whether a state was kept between two batches: a budget may end a run inside of one."""
    return made < len(record) or file == place(run, made)


def _states(run: Logged) -> Iterator[Path]:
    """The run's own checkpoint, and states that were kept for earlier questions."""
    yield from FOLDER.glob(f"{run.run_id}-*.ckpt")
    if (own := checkpoint.path(checkpoint.find(run.run_id), run.run_id)).is_file():
        yield own
