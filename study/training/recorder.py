"""Writes a training run to MLflow at intervals while it trains: charts can be watched, updates do not wait."""

import math
import time
from collections.abc import Mapping

import pytorch_lightning as pl

from study.tracking import writer
from study.training import weights
from study.training.history import Envelope
from study.training.module import RecurrentModule

PAUSE = 10.0
"""Seconds between writes: each costs some 0.2 ms a value."""


def unmeasured(values: Mapping[str, float]) -> dict[str, float]:
    """Values without those of a validation: what a destroyed network scores says nothing."""
    return {key: value for key, value in values.items() if not key.endswith("/val")}


def destroyed(module: RecurrentModule) -> bool:
    """Whether a run diverged, or its last validation says that its last update destroyed the network."""
    validated = module.journal.validations
    return module.history.diverged is not None or not math.isfinite(validated[-1]["loss"] if validated else 0.0)


class Recorder(pl.Callback):
    """Writes the history's envelope, the measures of validation and of probes; at the end the full tables.

    Args:
        run: what is written to.
        envelope: of the module's history.
    """

    def __init__(self, run: writer.Run, envelope: Envelope):
        self._run, self._envelope = run, envelope
        self._rows, self._written = 0, time.monotonic()
        self._points: list[tuple[int, dict[str, float]]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: RecurrentModule, *_: object) -> None:
        """Write what is new, if it is time."""
        if time.monotonic() - self._written > PAUSE:
            self._gather(pl_module)
            self._write()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: RecurrentModule) -> None:
        """Keep the measures of this validation for the next write."""
        measures = {key: float(value) for key, value in trainer.callback_metrics.items() if key.endswith("/val")}
        self._points.append((trainer.global_step, measures))

    def teardown(self, trainer: pl.Trainer, pl_module: RecurrentModule, stage: str) -> None:
        """Write the rest, including a bucket that is not full; of a run that diverged no measures at its end."""
        self._gather(pl_module, last=True)
        if destroyed(pl_module):
            end = len(pl_module.history)
            self._points = [(at, unmeasured(values) if at == end else values) for at, values in self._points]
        self._finish(pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: RecurrentModule, exception: BaseException) -> None:
        """The same for a run that was interrupted or failed: its history up to there is a measurement too.

        A bucket that is not full is left out: the run may be resumed, and then fills it.
        """
        pl_module.history.flush()
        self._gather(pl_module)
        self._finish(pl_module)

    def _finish(self, module: RecurrentModule) -> None:
        self._write()
        weights.log_last(self._run, module.model, len(module.history), module.task.preprocessing)
        weights.log_best(self._run, module.best)
        self._run.log_table(module.history.table(), "gradients.parquet")
        for name, table in module.probes.tables():
            self._run.log_table(table, f"{name}.parquet")

    def _gather(self, module: RecurrentModule, last: bool = False) -> None:
        block = module.history.rows(self._rows)
        self._rows += len(block)
        self._points.extend(self._envelope.add(block, last))
        self._points.extend(module.probes.points())

    def _write(self) -> None:
        self._run.log_points(self._points)
        self._points, self._written = [], time.monotonic()
