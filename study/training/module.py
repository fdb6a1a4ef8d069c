"""The LightningModule: a thin adaptor over the plain-torch training of `study.learning.bptt`."""

import math
import time
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
from torch.optim import Optimizer

from study import seeding
from study.learning.bptt import TruncatedBPTT
from study.learning.clipping import Clip
from study.learning.evaluation import Evaluation
from study.learning.losses import Loss
from study.models import RecurrentModel, State
from study.probes.suite import Probes
from study.schema.bptt import BPTTConfig
from study.schema.optimizer import OPTIMIZERS, OptimizerConfig
from study.tasks import Batch, Batches, Task
from study.training.checkpoint import Journal
from study.training.history import History


class Chunks:
    """A split as Lightning wants it: an iterable with a length, whose items are lists of `size` batches.

    Lightning's own cost a step, about 1 ms, is so shared by many updates.

    Attributes:
        epoch: the next one to iterate over.
        done: so many of the next chunks are empty: they were used before the run was interrupted.
    """

    def __init__(self, batches: Batches, size: int = 32):
        self.batches, self.size, self.epoch = batches, size, 0
        self.done = 0

    def __len__(self) -> int:
        """Lightning steps an epoch."""
        return math.ceil(len(self.batches) / self.size)

    def __iter__(self) -> Iterator[list[Batch]]:
        """The chunks of epoch `epoch`."""
        done = min(self.done, len(self))
        self.done -= done
        yield from ([] for _ in range(done))
        batches = self.batches.epoch(self.epoch, done * self.size)
        while chunk := [batch for _, batch in zip(range(self.size), batches, strict=False)]:
            yield chunk


class RecurrentModule(pl.LightningModule):
    """Trains by truncated BPTT, several updates a Lightning step; validates with the same carry.

    Lightning's own optimizer wrapper would cost more than some updates do, so updates call the optimizer directly
    and Lightning is told their number (`global_step`).
    """

    def __init__(
        self,
        model: RecurrentModel,
        loss: Loss,
        clip: Clip,
        task: Task,
        optimizer: OptimizerConfig,
        bptt: BPTTConfig,
        history: History,
        max_updates: int | None,
        probes: Probes,
    ):
        super().__init__()
        self.automatic_optimization = False
        self.model, self.loss, self._clip, self.task = model, loss, clip, task
        self._optimizer, self._truncation = optimizer, bptt
        self.history, self.max_updates, self.probes = history, max_updates, probes
        self.journal = Journal()
        self._kept: dict[str, Any] = {}
        self._began = 0.0
        self._state: State | None = None
        self._bptt: TruncatedBPTT
        self._evaluation: Evaluation

    def configure_optimizers(self) -> Optimizer:
        """See `conf/optimizer`."""
        options = self._optimizer.model_dump(exclude={"name"})
        return OPTIMIZERS.implementation(self._optimizer.name)(self.model.parameters(), **options)

    def on_train_epoch_start(self) -> None:
        """Number the epoch for the data order; streams start again from their top."""
        self.trainer.train_dataloader.epoch = self.current_epoch
        self._state = None

    def on_fit_start(self) -> None:
        """Build the plain-torch trainer around the optimizer itself; probes may be due before the first update."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        plan = self._truncation
        self._bptt = TruncatedBPTT(self.model, self.loss, optimizer, self._clip, plan.k1, plan.k2, plan.update)
        self._began = time.monotonic() - self._kept.get("seconds", 0.0)
        if self._kept:
            self.model.load_state_dict(self._kept["model"])
            optimizer.load_state_dict(self._kept["optimizer"])
        if self.probes.due == 0:  # not where a run is gone on with
            self.probes.measure(0, self._bptt)

    def on_train_start(self) -> None:
        """Where the run was interrupted before: leave out what was done."""
        self.trainer.train_dataloader.done = len(self.journal.steps)

    def training_step(self, chunk: list[Batch], index: int) -> None:
        """All updates of a chunk of batches, until the budget is used up."""
        if self.journal.replaying:
            return self._replay()
        for batch in chunk:
            for update in self._bptt.updates(batch, self._state):
                self.history.append(update, self._bptt.optimizer.param_groups[0]["lr"])
                done = len(self.history)
                if done == self.probes.due:
                    self.history.flush()
                    if self.history.diverged:  # the model is no longer one to measure
                        return self._settle()
                    self.probes.measure(done, self._bptt)
                if done == self.max_updates:
                    return self._settle()
            self._state = self._bptt.state if self.trainer.train_dataloader.batches.stateful else None
        self._settle()

    def on_train_end(self) -> None:
        """Take the probes' last measures; of a diverged run those before the divergence are the last."""
        if not self.history.diverged:
            self.probes.finish(len(self.history), self._bptt)

    def _settle(self) -> None:
        """Once a Lightning step: read the norms back, look for divergence, tell Lightning how far we are."""
        self.history.flush()
        self.journal.step(len(self.history))
        self._tell(len(self.history))

    def _tell(self, updates: int) -> None:
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.total.ready = progress.total.completed = updates
        if self.history.diverged and not self.journal.replaying:
            self.trainer.should_stop = True

    def _replay(self) -> None:
        """A step that was made before the run was interrupted; after the last of them everything is as it was."""
        updates = self.journal.next_step()
        if not self.journal.replaying:
            carry = self._kept["carry"]
            self._state = None if carry is None else tuple(part.to(self.device) for part in carry)
            seeding.set_state(self._kept["random"])
        self._tell(updates)

    @property
    def seconds(self) -> float:
        """Spent on training by now, before an interruption too; up to the last state that was kept then."""
        return time.monotonic() - self._began

    def state(self) -> dict[str, Any]:
        """All that decides how the training goes on, in tensors and plain values; between Lightning steps."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self._bptt.optimizer.state_dict(),
            "history": self.history.state(),
            "probes": self.probes.state(),
            "carry": self._state,
            "random": seeding.state(),
            "seconds": self.seconds,
            "steps": self.journal.steps,
            "validations": self.journal.validations,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Have the next fit go on from a state; before it, the model is as it was drawn."""
        self._kept = state
        self.history.restore(state["history"])
        self.probes.restore(state["probes"])
        self.journal.steps, self.journal.validations = state["steps"], state["validations"]

    def on_validation_epoch_start(self) -> None:
        """Start counting anew, with a state of its own: training's carry is not touched."""
        chunks = self.trainer.val_dataloaders
        chunks.done = len(chunks) if self.journal.validated else 0
        self._evaluation = Evaluation(self.model, self.loss, self.task.metrics(), chunks.batches.stateful)

    def validation_step(self, chunk: list[Batch], index: int) -> None:
        """Count a chunk."""
        self._evaluation.add(chunk)

    def on_validation_epoch_end(self) -> None:
        """`loss/val` and `<measure>/val`, for callbacks to read."""
        measures = self.journal.validation(None if self.journal.validated else self._evaluation.result())
        self.log_dict({f"{name}/val": value for name, value in measures.items()})
