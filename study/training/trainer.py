"""Lightning's Trainer around the module: the budget, the rhythm of validation, the callbacks."""

import logging
import math
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.utilities.exceptions import SIGTERMException

from study.learning.bptt import count
from study.schema import Config
from study.seeding import seeded
from study.tasks import Batches, Task
from study.tracking import writer
from study.training import checkpoint
from study.training.checkpoint import Checkpoint
from study.training.history import Envelope
from study.training.module import Chunks, RecurrentModule
from study.training.progress import UpdateBar
from study.training.recorder import Recorder

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # hardware that is not there, advertisements

CHUNK = 32
"""Updates a Lightning step, about: enough to share its cost of some 1 ms, few enough to see a divergence soon."""
UNKNOWN = 10_000
"""Updates that a budget in seconds is taken to be worth, by progress bars and charts."""


class Pace(NamedTuple):
    """A budget and a rhythm given in updates, as Lightning counts them.

    Attributes:
        updates: the budget.
        chunk: batches a Lightning step.
        interval: Lightning steps between validations.
    """

    updates: int
    chunk: int
    interval: int

    @classmethod
    def of(cls, config: Config, batches: Batches) -> "Pace":
        """Count the updates of one epoch and divide; validation comes at the nearest whole Lightning step."""
        epoch = _updates_an_epoch(config, batches)
        every = max(1, round((config.trainer.validate_every or epoch) * len(batches) / epoch))
        interval = math.ceil(every / max(1, CHUNK * len(batches) // epoch))
        updates = budget(config, batches) or (
            epoch * config.trainer.max_epochs if config.trainer.max_epochs else UNKNOWN
        )
        return cls(updates, math.ceil(every / interval), interval)


def budget(config: Config, batches: Batches) -> int | None:
    """The budget in updates; None where it is one in epochs or seconds.

    Steps become updates by the share of an epoch that they are: so every epoch counts alike.
    """
    plan = config.trainer
    if plan.max_steps is None:
        return plan.max_updates
    return math.ceil(plan.max_steps * _updates_an_epoch(config, batches) / sum(b.steps for b in batches.epoch(0)))


def _updates_an_epoch(config: Config, batches: Batches) -> int:
    plan = config.bptt
    return sum(count(batch, plan.k1, plan.k2, plan.update) for batch in batches.epoch(0))


class Clock(pl.Callback):
    """Ends training when its time is up."""

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Look at the clock, once a Lightning step."""
        trainer.should_stop |= time.monotonic() >= self._end


def fit(
    config: Config,
    module: RecurrentModule,
    task: Task,
    run: writer.Run,
    folder: Path | None = None,
    callbacks: Sequence[pl.Callback] = (),
) -> None:
    """Train `module` within the budget, writing to `run` on the way and its checkpoint to `folder`."""
    plan, batches = config.trainer, task.batches("train")
    pace = Pace.of(config, batches)
    envelope = Envelope(module.history.columns, pace.updates, config.tracking.points, module.probes.count)
    extra = [Recorder(run, envelope), *callbacks]
    extra += [UpdateBar(pace.updates)] if plan.progress_bar else []
    extra += [EarlyStopping("loss/val", patience=plan.patience, check_finite=False)] if plan.patience else []
    extra += [Clock(plan.max_seconds)] if plan.max_seconds else []
    if folder is not None and plan.checkpoint is not None and not plan.max_seconds:  # what time is left is not kept
        extra += [Checkpoint(checkpoint.path(folder, run.run_id), plan.checkpoint)]
    trainer = pl.Trainer(
        accelerator=plan.accelerator,
        devices=1,
        plugins=[LightningEnvironment()],  # one process, also in a cluster's job: the cluster is the sweep's business
        logger=False,
        callbacks=extra,
        max_steps=module.max_updates or -1,
        max_epochs=plan.max_epochs or -1,
        val_check_interval=pace.interval,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with seeded(config.seed, "dropout"), _tamed():
        trainer.fit(module, Chunks(batches, pace.chunk), Chunks(task.batches("val")))


@contextmanager
def _tamed() -> Iterator[None]:
    """Let Ctrl-C arrive as what it is: Lightning makes an exit code 1 of it, and Ctrl-C deaf from then on.

    Let a termination, of which it makes an exit code 0, be told by the exit code too. And keep to itself what
    Lightning is told by torch about its own source, and what it says of a cluster that it is not asked to use.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            warnings.filterwarnings("ignore", "The `srun` command is available", UserWarning)
            yield
    except SIGTERMException:
        sys.exit(128 + signal.SIGTERM)
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise stop.__context__ from None
