"""The progress bar of a run: updates done, time left, loss and gradient norm."""

import time

import pytorch_lightning as pl
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from study.training.module import RecurrentModule


class UpdateBar(pl.Callback):
    """A bar over updates, redrawn at most four times a second and never by a thread of its own."""

    def __init__(self, updates: int):
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        self._bar = Progress(*columns, TextColumn("{task.fields[state]}"), auto_refresh=False)
        self._task = self._bar.add_task("updates", total=updates, state="")
        self._drawn = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar."""
        self._bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: RecurrentModule, *_: object) -> None:
        """Move the bar, if the last time is a quarter of a second ago."""
        if time.monotonic() - self._drawn > 0.25:
            self._draw(pl_module)

    def teardown(self, trainer: pl.Trainer, pl_module: RecurrentModule, stage: str) -> None:
        """Leave the last state on the screen, and the cursor as it was."""
        self._draw(pl_module)
        self._bar.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: RecurrentModule, exception: BaseException) -> None:
        """The same after an interruption or a failure: Lightning calls no teardown then."""
        self.teardown(trainer, pl_module, "fit")

    def _draw(self, module: RecurrentModule) -> None:
        if module.history.last is not None:
            loss, norm = module.history.last
            self._bar.update(self._task, completed=len(module.history), state=f"loss {loss:.4g}  grad {norm:.3g}")
        self._bar.refresh()
        self._drawn = time.monotonic()
