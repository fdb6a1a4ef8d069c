"""Validation during training: the measures of the network as it is, and a copy of it where it is the best so far."""

import time
from collections.abc import Mapping

import pytorch_lightning as pl

from study.learning.bptt import TruncatedBPTT
from study.learning.evaluation import Evaluation
from study.learning.losses import Loss
from study.learning.optimizers import averaged
from study.learning.schedules import RateSchedule
from study.models import RecurrentModel
from study.tasks import Batch, Task
from study.training.checkpoint import Journal
from study.training.history import History
from study.training.weights import BestWeights


class ValidatedModule(pl.LightningModule):
    """The validation of a module, with the state carried as in training.

    Attributes:
        journal: of a resumed run has the validations that were made before.
        best: the weights at the best validation so far.
        validating: seconds spent on validations so far. Training is caught up when one begins, since the history has
            just been read back, and measures are on the CPU when it ends: so a clock is right, also with a GPU.
    """

    model: RecurrentModel
    loss: Loss
    task: Task
    schedule: RateSchedule
    history: History
    journal: Journal
    best: BestWeights
    validating: float = 0.0
    _bptt: TruncatedBPTT
    _evaluation: Evaluation
    _began: float

    def on_validation_epoch_start(self) -> None:
        """Start a fresh evaluation, with a state of its own: training's is not touched."""
        self._began = time.monotonic()
        chunks = self.trainer.val_dataloaders
        chunks.done = len(chunks) if self.journal.validated else 0
        self._evaluation = Evaluation(self.model, self.loss, self.task.metrics(), chunks.batches.stateful)

    def validation_step(self, chunk: list[Batch], index: int) -> None:
        """Evaluate a chunk, by the mean of the weights where the optimizer keeps one."""
        with averaged(self._bptt.optimizer):
            self._evaluation.add(chunk)

    def on_validation_epoch_end(self) -> None:
        """Log `loss/val` and `<measure>/val`, for callbacks to read."""
        replayed = self.journal.validated
        measures = self.journal.validation(None if replayed else self._evaluation.result())
        if not replayed:  # a restored schedule has taken note of those, and the best weights are restored
            self.schedule.validated(measures["loss"])
            with averaged(self._bptt.optimizer):
                self.keep_if_best(measures)
            self.validating += time.monotonic() - self._began
        self.log_dict({f"{name}/val": value for name, value in measures.items()})

    def keep_if_best(self, measures: Mapping[str, float]) -> bool:
        """Keep the weights that were just validated if they are the best so far, and return whether they are.

        Those of a diverged run are no longer kept: its last validation came after the divergence.
        """
        return self.history.diverged is None and self.best.offer(len(self.history), measures, self.model)
