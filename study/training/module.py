"""The LightningModule: a thin adaptor over the plain-torch training of `study.learning.bptt`."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import move_data_to_device
from torch.optim import Optimizer

from study import seeding
from study.learning.bptt import Carry, TruncatedBPTT, Update, build, load_carry
from study.learning.clipping import Clip
from study.learning.losses import Loss
from study.learning.optimizers import take_averages
from study.learning.regularizers import Regularizer
from study.learning.schedules import RateSchedule
from study.models import RecurrentModel
from study.probes.result import ProbeResult
from study.probes.suite import Probes
from study.schema.bptt import BPTTConfig
from study.tasks import Batch, Task
from study.training.checkpoint import Journal, fitting
from study.training.chunks import Chunks
from study.training.history import History
from study.training.pace import Pace
from study.training.validation import ValidatedModule
from study.training.weights import BestWeights


class RecurrentModule(ValidatedModule):
    """Trains by truncated BPTT, several updates a Lightning step; validates with the state carried in the same way.

    Lightning's own optimizer wrapper would cost more than some updates do, so updates call the optimizer directly
    and write their number into Lightning's `global_step`.

    Args:
        model: freshly drawn.
        loss: what is minimised.
        clip: clips the gradient of every update.
        task: what is learnt.
        optimizer: of the model's parameters.
        schedule: of its rate.
        regularizer: adds a penalty to the loss.
        truncation: see `conf/bptt`.
        seed: of a truncation that draws.
        pace: the budget and the rhythm.
        history: empty; gets every update.
        probes: measured when they are due.

    Attributes:
        journal: what was done, so that a resumed run can go through it again.
        best: the weights at the best validation so far.
        hold: updates after which training stops, at the end of the batch in which the last of them is made, also in
            the middle of a Lightning step; None: the budget ends it.
        callbacks: of the user, called wherever the module is fitted.
        pause: called before every batch, where `state()` is valid; None: nobody asks.
    """

    def __init__(
        self,
        model: RecurrentModel,
        loss: Loss,
        clip: Clip,
        task: Task,
        optimizer: Optimizer,
        schedule: RateSchedule,
        regularizer: Regularizer,
        truncation: BPTTConfig,
        seed: int,
        pace: Pace,
        history: History,
        probes: Probes,
    ):
        super().__init__()
        self.automatic_optimization = False
        self.model, self.loss, self.clip, self.task = model, loss, clip, task
        self._optimizer, self.schedule, self.regularizer = optimizer, schedule, regularizer
        self.truncation, self._seed = truncation, seed
        self.pace, self.history, self.probes = pace, history, probes
        self.journal, self.best = Journal(), BestWeights(task.primary, task.direction)
        self.hold: int | None = None
        self.pause: Callable[[RecurrentModule], None] | None = None
        self.callbacks: Sequence[pl.Callback] = ()
        self._restored: dict[str, Any] = {}
        self._taken_up = False
        self._batches = 0  # of the Lightning step that is being made, done so far
        self._started = 0.0
        self._carry: Carry | None = None
        self._bptt: TruncatedBPTT

    @property
    def bptt(self) -> TruncatedBPTT:
        """What makes the updates, to be measured by probes; there is none before a fit or `as_restored`."""
        return self._bptt

    def configure_optimizers(self) -> Optimizer:
        """The one the module was given."""
        return self._optimizer

    def on_fit_start(self) -> None:
        """Build the plain-torch trainer around the optimizer itself; probes may be due before the first update."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, Optimizer)
        self._start(optimizer)
        if self.probes.due == 0:  # a resumed run has measured then
            self.probes.measure(0, self._bptt)

    def as_restored(self) -> "RecurrentModule":
        """Return this module in the state that `load_state` was given, without a fit: to be measured, not trained."""
        self._start(self._optimizer)
        return self

    def measure(self, plans: Mapping[str, Any]) -> dict[str, ProbeResult]:
        """Measure the model as it is now, after a fit or `as_restored`, beside what its own plan measures.

        Args:
            plans: by name of the probe, see `study.schema.probe`.
        """
        if kept := self.clip.state_dict():  # after a fit Lightning moves the model back to the CPU, and nothing else
            self.clip.load_state_dict(move_data_to_device(kept, self.device))
        self.loss.initial_norm = move_data_to_device(self.loss.initial_norm, self.device)
        return self.probes.beside(plans, self._bptt)

    def _start(self, optimizer: Optimizer) -> None:
        """Build what trains around the optimizer, and restore what the module continues from."""
        trained = self.model, self.loss, optimizer, self.clip, self.task.batches("train").stream
        self._bptt = build(self.truncation, *trained, self._seed, self.regularizer)
        self._started = time.monotonic() - self._restored.get("seconds", 0.0)
        self.schedule.start(optimizer, self.pace.updates)
        if self._restored:
            self._restore(optimizer)

    @fitting()
    def _restore(self, optimizer: Optimizer) -> None:
        self.model.load_state_dict(self._restored["model"])
        optimizer.load_state_dict(self._restored["optimizer"])
        self.loss.initial_norm = move_data_to_device(self._restored["initial_norm"], self.device)
        for name in ("schedule", "regularizer", "clip", "bptt"):
            part = self._bptt if name == "bptt" else getattr(self, name)
            if kept := self._restored[name]:  # else it starts anew; a generator's state stays on the CPU
                part.load_state_dict(move_data_to_device(kept, self.device) if name == "clip" else kept)
        self.schedule.set_rate()  # the same again; a fork may have another rate than the run it continues

    def on_train_start(self) -> None:
        """Skip the chunks that a resumed run has trained on."""
        self.trainer.train_dataloader.done = len(self.journal.steps)

    def on_train_epoch_start(self) -> None:
        """Number the epoch for the data order; a stream starts at its top, from the zero state."""
        self.trainer.train_dataloader.epoch = self.current_epoch
        self._carry = None

    def training_step(self, chunk: list[Batch], index: int) -> None:
        """Make all updates of a chunk of batches, until the budget is used up.

        A run that goes on from the middle of a chunk has trained on its first batches.
        """
        if self.journal.replaying:
            return self._replay()
        if self._within:
            self._take_up()
        for batch in chunk[self._batches :]:
            if self.pause is not None:
                self.pause(self)
            for _ in self._updates(batch):
                done = len(self.history)
                if done == self.probes.due:
                    self.history.flush()
                    if self.history.diverged:  # the model is no longer one to measure
                        return self._end_step()
                    self.probes.measure(done, self._bptt)
                if done == self.pace.budget and self.hold is None:
                    return self._end_step()
            self._carry = self._bptt.carry if self._bptt.stream is not None else None
            self._batches += 1
            if self._held and self._batches < len(chunk):
                self.history.flush()
                self.trainer.should_stop = True
                return
        self._end_step()

    def by_hand(self) -> tuple[TruncatedBPTT, Batch, Iterator[Update]]:
        """Go on outside of Lightning: what trains, the next batch, and an iterator that makes its updates one by one.

        Of a module that goes on from a state, see `load_state`, on the device that it lies on. Torch's random state
        becomes that of the run.
        """
        self._start(self._optimizer)
        self._take_up()
        batches = self.task.batches("train")
        epoch, step = divmod(len(self.journal.steps), len(Chunks(batches, self.pace.chunk)))
        number = step * self.pace.chunk + self._batches
        if number == 0:
            self._carry = None
        batch: Batch = move_data_to_device(next(batches.epoch(epoch, number)), self.device)
        return self._bptt, batch, self._updates(batch)

    def _updates(self, batch: Batch) -> Iterator[Update]:
        """Make the updates of a batch; each is kept in the history before the next one is made."""
        for update in self._bptt.updates(batch, self._carry):
            self.history.append(update, self._bptt.optimizer.param_groups[0]["lr"])
            self.schedule.updated()
            yield update

    def on_train_end(self) -> None:
        """Take the last measures; of a diverged run those before the divergence are the last.

        What is left is the mean of the weights, where the optimizer keeps one; probes see the weights that it moved.
        """
        if not self.history.diverged:
            self.probes.finish(len(self.history), self._bptt)
        take_averages(self._bptt.optimizer)

    def _end_step(self) -> None:
        """Once a Lightning step: read the norms back, look for divergence, tell Lightning the number of updates."""
        self._batches = 0
        self.history.flush()
        self.journal.step(len(self.history))
        self._set_global_step(len(self.history))
        if self.history.diverged or self._held:
            self.trainer.should_stop = True

    @property
    def _held(self) -> bool:
        return self.hold is not None and len(self.history) >= self.hold

    def _set_global_step(self, updates: int) -> None:
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.total.ready = progress.total.completed = updates

    def _replay(self) -> None:
        """A step that was made before the interruption: count it. After the last one, restore what steps change."""
        self._set_global_step(self.journal.next_step())
        if not self.journal.replaying:
            if not self._restored["batches"]:  # else the step that it stopped in does so: an epoch may start before it
                self._take_up()
            if self.history.diverged:
                self.trainer.should_stop = True

    @property
    def _within(self) -> bool:
        """Whether the next Lightning step is one that was interrupted between two of its batches."""
        return bool(self._restored) and self._restored["batches"] > 0 and not self._taken_up

    @fitting()
    def _take_up(self) -> None:
        """Restore the carried state, the random state and the place among the batches.

        Only when all before is replayed: replayed epochs reset the first, and whatever Lightning does on the way may
        draw from the second.
        """
        self._carry = load_carry(move_data_to_device(self._restored["carry"], self.device))
        seeding.set_state(self._restored["random"])
        self._batches, self._taken_up = self._restored["batches"], True

    @property
    def seconds(self) -> float:
        """Spent on training so far; of a resumed run with those up to its last checkpoint."""
        return time.monotonic() - self._started

    def state(self) -> dict[str, Any]:
        """All that decides how the training continues, in tensors and plain values; valid between batches."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self._bptt.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "regularizer": self.regularizer.state_dict(),
            "clip": self.clip.state_dict(),
            "initial_norm": self.loss.initial_norm,
            "bptt": self._bptt.state_dict(),
            "history": self.history.state(),
            "probes": self.probes.state(),
            "carry": None if self._carry is None else self._carry.as_dict(),
            "random": seeding.state(),
            "seconds": self.seconds,
            "validating": self.validating,
            "steps": self.journal.steps,
            "batches": self._batches,
            "pace": {name: getattr(self.pace, name) for name in ("budget", "updates", "chunk", "interval")},
            "validations": self.journal.validations,
            "best": self.best.state(),
        }

    @fitting()
    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a dict returned by `state()` at the next fit; until then the model stays as it was drawn."""
        self._restored = state
        self.pace = self.pace._replace(**state["pace"])  # steps are counted by it; a fork's own would be another
        self.history.load_state(state["history"])
        self.probes.restore(state["probes"])
        self.best.load_state(state["best"])
        self.validating = state.get("validating", 0.0)  # older checkpoints do not say
        self.journal.steps, self.journal.validations = list(state["steps"]), list(state["validations"])
