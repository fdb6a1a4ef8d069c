"""One tracked run, from a checked configuration to its verdict: `python -m study.train [overrides]`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from study.command import command
from study.schema import Config, validate

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from study.analysis.result import Result
    from study.tasks import Task
    from study.training.module import RecurrentModule


def train(
    config: Config,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    parent: str | None = None,
    tags: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    callbacks: "Sequence[pl.Callback]" = (),
    resume: str | None = None,
    begun: Callable[[str], None] | None = None,
) -> "Result":
    """Train one network as `config` says and keep everything in MLflow.

    Args:
        config: checked; see `study.schema.validate`.
        overrides: what was typed to get it, kept beside it.
        name: of the MLflow run; default model-task-seed.
        parent: MLflow run id of the sweep.
        tags: more MLflow tags.
        folder: where the checkpoint goes, named after the MLflow run; None: no checkpoint.
        callbacks: more Lightning callbacks.
        resume: MLflow run id of an interrupted run of this `config`: it goes on from its checkpoint in `folder`, or
            from the start where it came to none.
        begun: told the MLflow run id before anything is trained.
    """
    from study.analysis.result import conclude
    from study.tracking import provenance, writer
    from study.training import checkpoint
    from study.training.trainer import fit

    task, module = assemble(config)
    name = name or f"{config.model.name}-{config.task.name}-{config.seed}"
    splits = provenance.splits(task)
    marks = provenance.fingerprints(splits, module.model)
    with writer.run(config, name, {**({} if resume else marks), **(tags or {})}, parent, resume) as run:
        if begun is not None:
            begun(run.run_id)
        if resume is None:
            run.log_texts(provenance.definition(config, overrides), "definition")
            run.log_data(config.task.name, task.source, splits)
        elif folder is not None and (file := checkpoint.path(folder, resume)).is_file():
            module.load_state(checkpoint.load(file))
        if resume is not None:
            run.tag({"resumed_after": len(module.history)})
            run.log_texts(provenance.definition(config, overrides), f"{provenance.RESUMED}{len(module.history)}")
        fit(config, module, task, run, folder, callbacks)
        return conclude(config, module, task, run, module.seconds)


def assemble(config: Config) -> "tuple[Task, RecurrentModule]":
    """The data, and around a freshly drawn model all that trains it; this process set up for it."""
    from study import models, tasks
    from study.learning import clipping, losses
    from study.probes.suite import Probes
    from study.seeding import seeded, set_up_process
    from study.training.history import History
    from study.training.module import RecurrentModule
    from study.training.trainer import budget

    set_up_process(config.trainer.accelerator)
    task = tasks.build(config.task, config.data, config.seed)
    loss = losses.build(config.loss)
    with seeded(config.seed, "init"):
        model = models.build(config.model, task.inputs, loss.outputs(task.targets))
    history = History([n for n, p in model.named_parameters() if p.requires_grad], config.trainer.divergence)
    clip, updates = clipping.build(config.clip), budget(config, task.batches("train"))
    probes = Probes(config.probe, task.batches("train").epoch(0), config.task.horizon)
    return task, RecurrentModule(model, loss, clip, task, config.optimizer, config.bptt, history, updates, probes)


@command
def main(composed: DictConfig) -> None:
    """One run of the command line; a sweep goes through `study.sweep` instead."""
    from study.training import checkpoint

    config = validate(composed)
    job = HydraConfig.get()
    result = train(config, list(job.overrides.task), folder=checkpoint.FOLDER)
    print(result.summary(config))


if __name__ == "__main__":
    main()
