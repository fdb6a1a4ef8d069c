"""`GradientHistory`: our gradient history, flow and diagnosis for any LightningModule, without adopting the harness.

from study import GradientHistory

history = GradientHistory(horizon=20)
Trainer(callbacks=[history], gradient_clip_val=1.0).fit(module, loader)
history.history                # one row an update
print(history.diagnosis)       # outcome, verdict, cause
"""

import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
from torch import Tensor, nn
from torch.optim import Optimizer

from study.analysis.diagnosis.judge import Diagnosis
from study.callback import record
from study.callback.judged import diagnose_updates
from study.callback.layers import find_layer
from study.callback.norms import UpdateNorms
from study.callback.watch import FlowWatch
from study.columns import APPLIED, TOTAL
from study.disk import refuse_unwritable, writing
from study.errors import ConfigError, Unwritable, shown
from study.training.history import History

NO_TASK = "What was learnt is not measured: that takes a task with opponents. An outcome here is completed or diverged."
NO_HORIZON = (
    "Whether the gradient reaches back far enough is not judged: state the lag in steps at which the task needs the "
    "past, GradientHistory(horizon=...)."
)


class GradientHistory(pl.Callback):
    """Records the gradient norms of every update of a LightningModule, and what its gradients do over the lag.

    Sees updates under automatic and manual optimization, before and after clipping, and never waits for the device to
    do so. At the end, also after an exception, it writes `gradients.parquet`, `flow.parquet` and a page, and puts them
    into the run of an `MLFlowLogger`.

    Args:
        horizon: the lag in steps at which the task needs the past; None: nobody knows, and it is not guessed.
        horizon_known: whether that is certain; else the gradient that does not reach back so far counts as short
            memory, not as vanishing.
        layer: name of the recurrent layer whose flow is measured, as in `named_modules()`; None: the first one.
        folder: to write into; None: `gradients` in the Trainer's `log_dir`.

    Attributes:
        diagnosis: after a fit.
        not_measured: what is not known of the training, and why; after a fit.
        page: the page that was written; after a fit.
    """

    def __init__(
        self,
        horizon: int | None = None,
        horizon_known: bool = False,
        layer: str | None = None,
        folder: str | Path | None = None,
    ):
        refuse_no_lag(horizon)
        if horizon_known and horizon is None:
            raise ConfigError("horizon_known = True: no horizon is stated")
        self._horizon, self._known, self._layer, self._folder = horizon, horizon_known, layer, folder
        self.diagnosis: Diagnosis | None = None
        self.not_measured: list[str] = []
        self.page: Path | None = None
        self._history: History | None = None
        self._restored: dict[str, Any] = {}
        self._norms: UpdateNorms
        self._watch: FlowWatch
        self._rate = 0.0

    @property
    def history(self) -> pd.DataFrame:
        """Loss, learning rate and every gradient norm, one row an update; also while it trains."""
        history = self._started()
        history.flush()
        return history.table().to_pandas().set_index("update")

    @property
    def flow(self) -> pd.DataFrame | None:
        """Gradient flow by lag at every update measured, the columns of `flow.parquet`; None where there is none."""
        self._started()
        return record.flow_table(self._watch.probed)

    def _started(self) -> History:
        if self._history is None:
            raise ConfigError("there is no history before a fit has started")
        return self._history

    def on_fit_start(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Refuse what cannot be measured truly, then begin a history, or continue that of a checkpoint."""
        refuse(trainer, pl_module)
        refuse_unwritable(self._place(trainer))
        found = find_layer(pl_module, self._layer)
        optimizer = trainer.optimizers[0]
        group = optimizer.param_groups[0]
        self._rate = float(group.get("initial_lr", group["lr"]))  # a schedule has scaled lr already
        names, parameters = _trained(pl_module, optimizer)
        self._history = History(names, patience=sys.maxsize)  # a loss that is not finite ends no loop of others
        self._watch = FlowWatch(found, self._horizon, trainer.estimated_stepping_batches)
        if self._restored:
            self._history.load_state(self._restored["history"])
            self._watch.restore(self._restored["flow"])
            self._restored = {}
        manual, watch = not pl_module.automatic_optimization, self._watch
        how = watch.measure, watch.await_update, manual
        self._norms = UpdateNorms(optimizer, parameters, self._history, *how)
        watch.await_update(len(self._history))

    def on_before_backward(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", loss: Tensor) -> None:
        """Keep the loss; under automatic optimization that comes at the end of the batch, unscaled."""
        if not pl_module.automatic_optimization:
            self._norms.add_loss(loss)

    def on_after_backward(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Under manual optimization the module clips from here on."""
        if not pl_module.automatic_optimization:
            self._norms.made()

    def on_before_optimizer_step(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", optimizer: Optimizer
    ) -> None:
        """Under automatic optimization Lightning clips from here on; gradients are accumulated and unscaled."""
        if pl_module.automatic_optimization:
            self._norms.made()

    def on_train_batch_end(
        self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", outputs: Any, *_: object
    ) -> None:
        """Add the update of this batch, if it made one."""
        if pl_module.automatic_optimization and isinstance(outputs, dict) and "loss" in outputs:
            self._norms.add_loss(outputs["loss"])
            self._norms.end()

    def on_train_end(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule") -> None:
        """Diagnose and write."""
        self._finish(trainer, pl_module)

    def on_exception(self, trainer: "pl.Trainer", pl_module: "pl.LightningModule", exception: BaseException) -> None:
        """The same: the history up to there is a measurement too."""
        self._finish(trainer, pl_module)

    def _finish(self, trainer: "pl.Trainer", module: "pl.LightningModule") -> None:
        history = self._history
        if history is None:
            return
        self._norms.close()
        self._watch.close()
        history.flush()
        if not len(history):
            return
        rows, watch, clip = history.rows(), self._watch, trainer.gradient_clip_val
        finite = all(bool(parameter.isfinite().all()) for parameter in module.parameters())
        finite_rows = rows[np.isfinite(rows[:, TOTAL])]  # a loss scaler skips the others, and clips nothing
        clipped = bool(clip) or bool((finite_rows[:, APPLIED] < finite_rows[:, TOTAL]).any())
        self.diagnosis = diagnose_updates(rows, finite, watch.probed, self._horizon, self._known, self._rate, clipped)
        self.not_measured = list(self._lacking())
        self._write(trainer, type(module).__name__, history, self.diagnosis)

    def _write(self, trainer: "pl.Trainer", name: str, history: History, diagnosis: Diagnosis) -> None:
        """Write tables and page; where that cannot be, warn: the training is done, and what it measured is here."""
        folder = self._place(trainer)
        try:
            with writing(folder):
                self.page = record.write(folder, name, history, self.flow, diagnosis, self._horizon, self.not_measured)
        except Unwritable as error:
            error.then = "the callback's history.to_parquet(FILE) writes what was recorded"
            warnings.warn(str(error), stacklevel=2)
        else:
            record.keep(trainer.loggers, folder, diagnosis)

    def _place(self, trainer: "pl.Trainer") -> Path:
        return Path(self._folder or Path(trainer.log_dir or trainer.default_root_dir, "gradients"))

    def _lacking(self) -> Iterator[str]:
        yield NO_TASK
        if self._watch.reason:
            measured = f" every time it was due, only {len(self._watch.probed)} times" if self._watch.probed else ""
            yield f"Gradient flow: not measured{measured}: {self._watch.reason}."
        elif self._horizon is None:
            yield NO_HORIZON

    def state_dict(self) -> dict[str, Any]:
        """See Lightning: what a checkpoint keeps."""
        if self._history is None:
            return {}
        self._history.flush()
        return {"history": self._history.state(), "flow": self._watch.state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See Lightning."""
        self._restored = state_dict


def refuse_no_lag(horizon: object) -> None:
    """Refuse a horizon that is no number of steps.

    Raises:
        ConfigError: saying what is allowed.
    """
    is_lag = isinstance(horizon, int | np.integer) and not isinstance(horizon, bool) and horizon >= 1
    if horizon is not None and not is_lag:
        raise ConfigError(f"horizon = {shown(horizon)}: a lag in steps is 1 or more, a whole number; None: not known")


def refuse(trainer: "pl.Trainer", module: "pl.LightningModule") -> None:
    """Refuse a training whose updates cannot be seen truly.

    Raises:
        ConfigError: saying what of the Trainer or the module is in the way.
    """
    optimizers = trainer.optimizers
    if len(optimizers) != 1:
        raise ConfigError(f"{type(module).__name__} has {len(optimizers)} optimizers: a gradient history is of one")
    if trainer.world_size > 1:
        raise ConfigError(f"world_size = {trainer.world_size}: a gradient history is of one process on one device")
    scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
    if scaled and not module.automatic_optimization:
        raise ConfigError(f"precision = {trainer.precision!r}: under manual optimization gradients are seen scaled")
    if scaled and getattr(optimizers[0], "_step_supports_amp_scaling", False):
        raise ConfigError(f"precision = {trainer.precision!r}: a fused optimizer takes gradients that are still scaled")


def _trained(module: nn.Module, optimizer: Optimizer) -> tuple[list[str], list[nn.Parameter]]:
    """Names and parameters that the optimizer moves, in the order of the module."""
    moved = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    found = {name: p for name, p in module.named_parameters() if p.requires_grad and id(p) in moved}
    return list(found), list(found.values())
