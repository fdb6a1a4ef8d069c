"""Lightning's Trainer around the module: the budget, the rhythm of validation, the callbacks."""

import logging
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.profilers import AdvancedProfiler, Profiler, SimpleProfiler
from pytorch_lightning.utilities.exceptions import SIGTERMException

from study.schema.run import TrainerConfig
from study.seeding import seeded
from study.training.chunks import Chunks
from study.training.module import RecurrentModule
from study.training.progress import UpdateBar

logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # hardware that is not there, advertisements


class Clock(pl.Callback):
    """Ends training when its time is up."""

    def __init__(self, seconds: float):
        self._end = time.monotonic() + seconds

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Look at the clock, once a Lightning step."""
        trainer.should_stop |= time.monotonic() >= self._end


def build_profiler(name: str | None) -> Profiler | None:
    """Lightning's profiler of a name; its `summary()` is a text."""
    return None if name is None else {"simple": SimpleProfiler, "advanced": AdvancedProfiler}[name]()


def fit(
    module: RecurrentModule,
    plan: TrainerConfig,
    seed: int,
    callbacks: Sequence[pl.Callback],
    profiler: Profiler | None = None,
) -> None:
    """Train a module on its task until the budget is used up, or an early stop.

    Args:
        module: see `study.train.assemble`.
        plan: device, early stopping, progress bar, and a budget in epochs or seconds; others are in `module.pace`.
        seed: of the run; dropout draws from it.
        callbacks: in the order they are called in, before those the plan asks for.
        profiler: measures what takes the time.
    """
    extra: list[pl.Callback] = [UpdateBar(module.hold or module.pace.updates)] if plan.progress_bar else []
    extra += [EarlyStopping("loss/val", patience=plan.patience, check_finite=False)] if plan.patience else []
    extra += [Clock(plan.max_seconds)] if plan.max_seconds else []
    trainer = pl.Trainer(
        accelerator=plan.accelerator,
        devices=1,
        plugins=[LightningEnvironment()],  # one process, also in a cluster's job: the cluster is the sweep's business
        logger=False,
        profiler=profiler,
        callbacks=[*callbacks, *module.callbacks, *extra],
        max_steps=module.pace.budget or -1,
        max_epochs=plan.max_epochs or -1,
        val_check_interval=module.pace.interval,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    task = module.task
    with seeded(seed, "dropout"), _without_surprises():
        trainer.fit(module, Chunks(task.batches("train"), module.pace.chunk), Chunks(task.batches("val")))


@contextmanager
def _without_surprises() -> Iterator[None]:
    """Undo what Lightning does to signals, and drop two of its warnings.

    Re-raise KeyboardInterrupt: Lightning turns it into exit code 1 and leaves SIGINT ignored. Exit on SIGTERM with the
    shell's code, 128 + 15: Lightning's is 0. The warnings are of its own source, and of a cluster it is not asked to
    use.
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
