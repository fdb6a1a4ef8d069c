"""The network of a logged run with its weights, rebuilt from what the run keeps: its training data are not needed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from study.errors import ConfigError
from study.installation import about
from study.learning.losses import Loss
from study.models import RecurrentModel
from study.reproduce.restore import restore_run
from study.schema import Config
from study.schema.task import TASKS
from study.tasks.preprocessing import Preprocessing
from study.tracking import provenance
from study.tracking.models import BEST, DIGESTS, LAST
from study.tracking.reader import Logged
from study.train import network
from study.training.weights import FOLDER, PREPROCESSING

NO_CALLBACKS = "trainer.callbacks=[]"
"""Nothing is trained, so those of the run need not be here, or be trusted."""
Which = Literal["best", "last"]


@dataclass(frozen=True)
class TrainedNetwork:
    """A network as a run left it.

    Attributes:
        run: that trained it.
        which: of its weights.
        config: of the run.
        model: on the CPU, in evaluation mode.
        loss: says what outputs predict.
        learnt: by the task: how data become inputs, and predictions answers.
    """

    run: Logged
    which: Which
    config: Config
    model: RecurrentModel
    loss: Loss
    learnt: Preprocessing


def load_trained(run: Logged, which: str = BEST, folder: Path | None = None) -> TrainedNetwork:
    """Load the network of a run.

    Args:
        run: that was trained.
        which: `best`: the weights of its best validation; `last`: those it ended with, which its measures are of.
        folder: where code that was logged with the run is put and executed; None: it is not trusted.

    Raises:
        ConfigError: the run has no such weights, or they are not those it was logged with.
        Untrusted: it needs code that was logged with it, and there is no folder.
    """
    if which not in (BEST, LAST):
        raise ConfigError(f"weights = {which!r}: allowed are {BEST} and {LAST}")
    refuse_missing(run, which)
    config = restore_run(run, folder, [NO_CALLBACKS]).config
    learnt = _preprocessing(run, config)
    with torch.random.fork_rng(devices=[]):
        loss, model = network(config, learnt)
    try:
        model.load_state_dict(load(run.read(f"{FOLDER}/{which}.safetensors")))
    except (SafetensorError, RuntimeError) as error:
        raise ConfigError(f"the {which} weights of run {run.run_id} do not fit its configuration: {error}") from error
    if (found := provenance.weights(model)) != run.tags[DIGESTS[which]]:
        raise ConfigError(
            f"the {which} weights of run {run.run_id} are not those it was logged with: their digest is {found}, its "
            f"tag {DIGESTS[which]} says {run.tags[DIGESTS[which]]}"
        )
    return TrainedNetwork(run, which, config, model.eval().requires_grad_(False), loss, learnt)  # type: ignore[arg-type]


def refuse_missing(run: Logged, which: str) -> None:
    """Refuse a run that does not keep such weights, and say why it does not."""
    kept = set(run.files(FOLDER))
    if f"{FOLDER}/{which}.safetensors" in kept and DIGESTS[which] in run.tags:
        return
    if f"{FOLDER}/{LAST}.safetensors" in kept:
        raise ConfigError(
            f"run {run.run_id} has no best weights: no validation gave a finite measure (outcome: "
            f"{run.tags.get('outcome', 'unknown')}); weights={LAST} are there"
        )
    if run.status != "FINISHED":
        raise ConfigError(
            f"run {run.run_id} keeps no {which} weights: it is {run.status}; `{about('resume', run.run_id)}` continues "
            "one whose process died"
        )
    raise ConfigError(
        f"run {run.run_id} keeps no weights: it was made before runs kept them, or they are gone; "
        f"`{about('reproduce', run.run_id)}` trains it again, bit for bit, and keeps them"
    )


def _preprocessing(run: Logged, config: Config) -> Preprocessing:
    name = f"{FOLDER}/{PREPROCESSING}"
    try:
        kept: Any = json.loads(run.read(name))
        learnt: Preprocessing = TASKS.implementation(config.task.name).learnt.from_dict(kept)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{name} of run {run.run_id} is not what a run of {config.task.name} keeps: {error}"
        ) from error
    return learnt
