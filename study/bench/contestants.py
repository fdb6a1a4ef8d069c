"""Three ways to train the same network on the same data, with the same arithmetic in every batch.

`bare` and `usual` run torch's layers, as people do; `full` runs the kernels of this project where a cell has one.

All use one window a batch (k2 = the whole sequence), and a state that is carried where the data are a stream. `bare`
and `full` do not validate; `usual` does, as often as it is configured.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import MLFlowLogger
from pytorch_lightning.utilities import grad_norm
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from study.bench.commands import Spent
from study.models import State, detach
from study.schema import Config
from study.tasks import Batch, Batches, Task
from study.tracking import provenance, store, writer
from study.tracking.description import describe
from study.tracking.place import Place
from study.train import assemble
from study.training.history import Envelope
from study.training.module import RecurrentModule
from study.training.recorder import Recorder
from study.training.trainer import fit

Contestant = Callable[[Config, Task, RecurrentModule], None]


def measure(contestant: Contestant, config: Config) -> Spent:
    """Seconds an update of one training, with opening and closing the MLflow run, without building data and model."""
    task, module = assemble(config)
    store.prepare(config.tracking.uri, config.slug)
    wall, cpu = time.perf_counter(), time.process_time()
    contestant(config, task, module)
    if config.trainer.accelerator == "cuda":
        torch.cuda.synchronize()  # what it has handed over belongs to it
    updates = config.trainer.max_updates or 0
    return Spent((time.perf_counter() - wall) / updates, (time.process_time() - cpu) / updates)


def bare(config: Config, task: Task, module: RecurrentModule) -> None:
    """Train with PyTorch alone: forward, backward, clip, step; nothing is logged."""
    device = config.trainer.accelerator
    model, optimizer = module.model.to(device), module.configure_optimizers()
    batches, carry = task.batches("train"), None
    for _, batch in zip(range(config.trainer.max_updates or 0), _endless(batches), strict=False):
        loss, state = _loss(module, batch.to(device), carry)
        loss.backward()
        clip_grad_norm_(model.parameters(), config.clip.threshold)  # type: ignore[attr-defined]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        carry = detach(state) if batches.stateful else None


def full(config: Config, task: Task, module: RecurrentModule) -> None:
    """Train as `study.train` does: the whole history, its charts in MLflow, the progress bar."""
    described = describe(config)
    with writer.run(described, Place("bench")) as run:
        run.log_texts(provenance.definition(described.config, []), "definition")
        envelope = Envelope(module.history, module.pace.updates, config.tracking.points)
        fit(module, config.trainer, config.seed, [Recorder(run, envelope)])


def usual(config: Config, task: Task, module: RecurrentModule) -> None:
    """Train as people usually do: Lightning's Trainer, `self.log` of the norms and an MLFlowLogger, every step."""
    batches, held_out = task.batches("train"), task.batches("val")
    pl.Trainer(
        accelerator=config.trainer.accelerator,
        max_steps=config.trainer.max_updates or -1,
        max_epochs=-1,
        val_check_interval=config.trainer.validate_every,
        check_val_every_n_epoch=None,  # it counts updates, also over the end of an epoch
        num_sanity_val_steps=0,
        gradient_clip_val=getattr(config.clip, "threshold", None),  # `clip=none` has none
        logger=MLFlowLogger(config.slug, tracking_uri=config.tracking.uri),
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_model_summary=False,
    ).fit(_Usual(module, batches.stateful), _Epochs(batches), _Epochs(held_out))


class _Usual(pl.LightningModule):
    """The textbook LightningModule around the same model and loss."""

    def __init__(self, module: RecurrentModule, stateful: bool):
        super().__init__()
        self.model, self._stateful = module.model, stateful
        self._module = (module,)  # in a tuple, so that its parameters do not count twice
        self._carry: State | None = None
        self._held_out: State | None = None

    def configure_optimizers(self) -> Any:
        """Use the same optimizer as the others."""
        return self._module[0].configure_optimizers()

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Make one update from one batch."""
        loss, state = _loss(self._module[0], batch, self._carry)
        self._carry = detach(state) if self._stateful else None
        self.log("loss/train", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start at the beginning of the stream."""
        self._held_out = None

    def validation_step(self, batch: Batch, index: int) -> None:
        """Log the loss on one batch; Lightning takes the mean."""
        loss, state = _loss(self._module[0], batch, self._held_out)
        self._held_out = state if self._stateful else None
        self.log("loss/val", loss, batch_size=batch.targets.shape[1])

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        """Log gradient norms, of all and of every parameter, as Lightning's documentation does."""
        self.log_dict(grad_norm(self, norm_type=2))


class _Epochs:
    """Batches as an iterable that Lightning can restart."""

    def __init__(self, batches: Batches):
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return self._batches.epoch(0)


def _endless(batches: Batches) -> Iterator[Batch]:
    epoch = 0
    while True:
        yield from batches.epoch(epoch)
        epoch += 1


def _loss(module: RecurrentModule, batch: Batch, carry: State | None) -> tuple[Tensor, State]:
    outputs, state = module.model(batch.inputs, carry)
    total = module.loss.total(outputs, batch.targets, batch.mask)
    return total / module.loss.normaliser(batch.targets.shape[1], batch.steps), state
