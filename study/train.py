"""One tracked run, from a checked configuration to its diagnosis: `python -m study.train [overrides]`."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from study.command import command
from study.data.files import refuse_missing
from study.disk import refuse_unwritable
from study.schema import Config, validate
from study.schema.bptt import RULE
from study.terminal import printer, takes_json
from study.tracking.place import Place

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from study.analysis.result import Result
    from study.learning.losses import Loss
    from study.models import RecurrentModel
    from study.tasks import Task
    from study.tasks.preprocessing import Preprocessing
    from study.tracking.writer import Run
    from study.training.module import RecurrentModule


def train(
    config: Config,
    overrides: Sequence[str] = (),
    place: Place = Place(),  # noqa: B008, it is frozen
    callbacks: "Sequence[pl.Callback]" = (),
) -> "Result":
    """Train one network and record everything in MLflow.

    Args:
        config: checked; see `study.schema.validate`.
        overrides: what was typed to get it, recorded beside it.
        place: where the run belongs: its name, its relatives, its checkpoint, the run it resumes.
        callbacks: more Lightning callbacks.
    """
    from study import opponents
    from study.analysis.diagnosis.facts import Setup
    from study.analysis.result import conclude
    from study.data import folder
    from study.schema import own
    from study.schema.identity import portable
    from study.tracking import provenance, writer
    from study.tracking.changes import changes
    from study.tracking.description import describe
    from study.training import checkpoint

    # Data and model first: what cannot be used is refused before there is a run in the store.
    task, module = assemble(config)
    for note in (*task.notes, *changes().warnings):
        print(note, file=sys.stderr)
    described, splits, typed, code = describe(config), provenance.splits(task), portable(overrides), own.texts(config)
    saved, goes_on = checkpoint.to_continue(place)
    tags = _first_tags(task, module, splits, typed, goes_on)
    if place.checkpoints is not None:
        refuse_unwritable(place.checkpoints)
    with checkpoint.resumable(place) as announce, writer.run(described, place, tags) as run:
        announce(run.run_id)
        if saved is not None:
            module.load_state(saved)
        definition = provenance.definition(described.config, typed)
        _define(run, definition, code, len(module.history) if goes_on else None)
        if not goes_on:
            run.log_data(config.task.name, task.source, splits)
        run.settle()  # a run that has a checkpoint is described

        # What the network has to beat: fitted in seconds, and once for each data set. It draws nothing from torch.
        digest, both_ways = provenance.combined(splits), config.model.bidirectional
        rivals = opponents.scores(task, config.task, digest, folder(None, "opponents"), both_ways)

        _fit(module, config, run, place, callbacks)
        return conclude(module, Setup.of(config, module.clip.clips, module.model.core.hidden_size), run, rivals)


def _fit(
    module: "RecurrentModule", config: Config, run: "Run", place: Place, callbacks: "Sequence[pl.Callback]"
) -> None:
    """Make the updates; the history is written meanwhile."""
    from study.training import checkpoint
    from study.training.history import Envelope
    from study.training.recorder import Recorder
    from study.training.trainer import build_profiler, fit

    # The recorder is first: when another callback raises, the history up to there is written all the same.
    recorder = Recorder(run, Envelope(module.history, module.pace.updates, config.tracking.points))
    saving = checkpoint.saving(config.trainer, place.checkpoints, run.run_id)
    profiler = build_profiler(config.trainer.profiler)
    fit(module, config.trainer, config.seed, [recorder, *callbacks, *saving], profiler)
    if profiler is not None:
        run.log_texts({"profile.txt": profiler.summary()}, "profile")


def _first_tags(
    task: "Task",
    module: "RecurrentModule",
    splits: Mapping[str, tuple[str, int]],
    typed: Sequence[str],
    goes_on: bool,
) -> dict[str, str]:
    """What the record says from its first moment on, so that a run that dies at once says it too.

    A run that goes on keeps the fingerprints of its start.
    """
    from study.models.sizing import size_of
    from study.tracking import provenance

    tags = {"primary": task.primary, "direction": task.direction, "horizon_known": str(task.horizon_known)}
    tags |= {"bptt_rule": RULE} | ({"notes": " ".join(task.notes)} if task.notes else {})
    size = size_of(module.model)
    tags |= {"parameters": str(size.parameters), "state_size": str(size.state)}
    tags |= {"units": str(module.model.core.hidden_size), **task.tags}
    if goes_on:
        return tags
    return tags | provenance.fingerprints(splits, module.model) | provenance.circumstances(typed)


def _define(run: "Run", definition: Mapping[str, str], code: Mapping[str, str], resumed: int | None) -> None:
    """Write what defines a run; where it goes on after some updates, beside the first: code or machine may differ."""
    from study.schema import own
    from study.tracking import provenance

    if resumed is None:
        run.log_texts(definition, "definition")
        run.log_texts(code, own.FOLDER)
    else:
        run.tag({"resumed_after": resumed})
        run.log_texts(definition, f"{provenance.RESUMED}{resumed}")


def assemble(config: Config, task: "Task | None" = None) -> "tuple[Task, RecurrentModule]":
    """Set this process up, read the data, draw the model, and build around it all that trains it.

    Args:
        config: checked.
        task: of the configuration, where it is built already.
    """
    from study import tasks
    from study.learning import clipping, optimizers, regularizers, schedules
    from study.learning.bptt import records, refuse_unreachable
    from study.probes.suite import Probes
    from study.seeding import seeded, set_up_process
    from study.training import callbacks
    from study.training.history import History
    from study.training.module import RecurrentModule
    from study.training.pace import plan_pace

    set_up_process(config.trainer.accelerator)
    task = task or tasks.build(config.task, config.data, config.seed)
    batches = task.batches("train")
    refuse_unreachable(config.bptt, batches)
    with seeded(config.seed, "init"):  # a generator of its own: the weights depend on nothing drawn elsewhere
        loss, model = network(config, task)
    clip, optimizer = clipping.build(config.clip), optimizers.build(config.optimizer, model)
    schedule, regularizer = schedules.build(config.schedule), regularizers.build(config.regularizer)
    regularizer.refuse(model, next(batches.epoch(0)).inputs)
    probes = Probes(config.probe, batches.epoch(0), config.task.horizon)
    pace = plan_pace(config.trainer, config.bptt, batches)
    parameters = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    recurrent, beside = recurrent_parameters(model), (*clip.records, *records(config.bptt), *regularizer.records)
    measuring = probes.count + bool(config.task.further_lengths)
    history = History(parameters, recurrent, config.trainer.divergence, measuring, beside, clip.patience)
    how = optimizer, schedule, regularizer, config.bptt, config.seed
    module = RecurrentModule(model, loss, clip, task, *how, pace, history, probes)
    module.callbacks = callbacks.build(config.trainer.callbacks)
    return task, module


def network(config: Config, data: "Task | Preprocessing") -> "tuple[Loss, RecurrentModel]":
    """Build the loss, and draw the network that gives it what it needs, for data of some inputs and targets."""
    from study import models
    from study.learning import losses

    loss = losses.build(config.loss, data.units)
    outputs, constants = loss.outputs(data.targets), loss.constants(data.targets)
    return loss, models.build(config.model, data.inputs, outputs, constants)


def recurrent_parameters(model: "RecurrentModel") -> list[str]:
    """Names of the parameters that act on the state, in the core and in a core that reads backwards."""
    cores = {"core": model.core} | ({"reverse": model.reverse} if model.reverse else {})
    return [f"{child}.{name}" for child, core in cores.items() for name in core.recurrent_parameters]


@takes_json
@command
def main(composed: DictConfig) -> None:
    """Train one network from the command line; a sweep goes through `study.sweep` instead."""
    config = validate(composed)
    refuse_missing(config)
    from study.training import checkpoint  # late: torch takes seconds

    overrides = list(HydraConfig.get().overrides.task)
    result = train(config, overrides, Place(checkpoints=checkpoint.FOLDER))
    printer().keep(**result.record)
    print(result.summary(config.slug, config.tracking.uri))


if __name__ == "__main__":
    main()
