"""Forks: a logged run, continued from one of its updates under a changed treatment on the same data in the same order.

A fork starts from the very state of its parent: weights, optimizer, carried state, random state, place in the data.
What a changed group keeps there (a clip policy's averages, an optimizer's moments) goes over where the group has the
same name, and starts anew where it has another. Numbers such as rate, threshold and k2 are those of the fork from its
first update on, and a schedule is where it would be by then. So parent and fork are a pair: nothing but the treatment
differs.
"""

import copy
import inspect
import math
from pathlib import Path
from typing import Any

import torch

from study.errors import ConfigError
from study.reproduce.replay import state_at
from study.reproduce.restore import Restored, restore_run
from study.schema import Config
from study.schema.identity import decides_training, flat_record
from study.tracking.answers import FROM, forked_at
from study.tracking.reader import Logged, find_one
from study.train import assemble
from study.training import checkpoint
from study.training.module import RecurrentModule
from study.training.pace import plan_pace

KEPT = ("task", "data", "seed", "trainer.accelerator", "trainer.validate_every")
"""What a fork has in common with its parent; the shapes of its weights too."""
ORDER = "optimizer.decay"
"""Decides the order in which an optimizer keeps its parameters, and with it whose moments are whose."""
STATEFUL = ("clip", "schedule", "regularizer", "bptt")
"""Groups with a state of their own, by their names in a checkpoint."""


def start(parent: Logged, restored: Restored, forked: Config, update: int) -> dict[str, Any]:
    """Return the state that a fork starts from.

    Args:
        parent: the run that is continued.
        restored: its configuration.
        forked: that of the fork.
        update: of the parent, after which the fork goes its own way.

    Raises:
        ConfigError: the fork would not be one (other data, another seed, other weights), or the parent cannot be taken
            up there, see `state_at`.
    """
    config = restored.config
    refuse(config, forked)
    state = checkpoint.load(state_at(parent, config, update, beginning(parent, restored.folder)))
    return treated(state, config, forked)


def treated(state: dict[str, Any], config: Config, forked: Config) -> dict[str, Any]:
    """The state of a run as one that a fork starts from.

    Args:
        state: of a run of `config`, between two batches.
        config: of the run.
        forked: that of the fork.
    """
    module = assemble(forked)[1]
    return _treated(state, module, config, forked) | {"pace": _pace(state, module, config, forked)}


def beginning(run: Logged, folder: Path | None) -> dict[str, Any] | None:
    """The state that a logged run itself began with: that of its parent, where it is a fork; None: as it was drawn.

    Args:
        run: that was trained.
        folder: where code that was logged with its parent is put; None: it is not trusted.
    """
    if FROM not in run.tags:
        return None
    _refuse_circle(run)
    parent = find_one(run.uri, run.tags[FROM])
    return start(parent, restore_run(parent, folder), restore_run(run, folder).config, forked_at(run))


def _refuse_circle(run: Logged) -> None:
    """Refuse runs that are said to fork each other."""
    seen: set[str] = set()
    while FROM in run.tags:
        if run.run_id in seen:
            raise ConfigError(f"run {run.run_id}: by its tag {FROM} it goes on from itself")
        seen.add(run.run_id)
        run = find_one(run.uri, run.tags[FROM])


def refuse(config: Config, forked: Config) -> None:
    """Refuse what makes another run of a fork.

    Raises:
        ConfigError: naming the key.
    """
    before, after = flat_record(config), flat_record(forked)
    changed = [key for key in {**before, **after} if before.get(key) != after.get(key) and decides_training(key)]
    kept = (*KEPT, *([ORDER] if config.optimizer.name == forked.optimizer.name else []))
    for key in [*changed, *(["seed"] if config.seed != forked.seed else [])]:
        if any(key == one or key.startswith(f"{one}.") for one in kept):
            raise ConfigError(
                f"{key} = {after.get(key)}: a fork keeps what its parent has ({key} = {before.get(key)}): data, order, "
                f"device, validations; a run with another one is a variation: make reproduce RUN=... ARGS={key}=..."
            )
    if any(key.startswith(("model.", "loss.")) for key in changed):
        _refuse_shapes(assemble(config)[1].model.state_dict(), assemble(forked)[1])
    if not changed:
        raise ConfigError(
            "a fork needs a changed treatment, such as clip=norm clip.threshold=0.1: else it is the parent"
        )


def _treated(state: dict[str, Any], module: RecurrentModule, config: Config, forked: Config) -> dict[str, Any]:
    """The parent's state as one of the fork."""
    same = {group: getattr(config, group).name == getattr(forked, group).name for group in (*STATEFUL, "optimizer")}
    optimizer = module.configure_optimizers().state_dict()
    if same["optimizer"]:
        optimizer = _moments(state["optimizer"], module)
    anew: dict[str, Any] = {group: {} for group in STATEFUL if not same[group]}
    if "schedule" in anew:  # the course of the rate is one of the whole run
        anew["schedule"] = {"done": len(state["history"]["rows"])}
    scaled = {} if config.loss == forked.loss else {"initial_norm": None}
    return {**state, "optimizer": optimizer, **anew, **scaled}


def _moments(kept: dict[str, Any], module: RecurrentModule) -> dict[str, Any]:
    """The moments of the parent and what its optimizer counts, with the rate and the other options of the fork.

    Raises:
        ConfigError: with these options the optimizer needs moments that it has not kept.
    """
    optimizer = module.configure_optimizers()
    fresh, options = optimizer.state_dict()["param_groups"], inspect.signature(type(optimizer)).parameters
    pairs = zip(kept["param_groups"], fresh, strict=True)
    groups = [new | {key: value for key, value in old.items() if key not in options} for old, new in pairs]
    state = {"state": kept["state"], "param_groups": groups}
    try:  # a step of the network that was drawn to compare with: what it lacks shows here, and not in the fork
        optimizer.load_state_dict(copy.deepcopy(state))
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    except (KeyError, RuntimeError) as error:
        raise ConfigError(
            f"optimizer: the run kept no {error} for these options; another optimizer starts anew"
        ) from error
    return state


def _pace(state: dict[str, Any], module: RecurrentModule, config: Config, forked: Config) -> dict[str, Any]:
    """The rhythm of the parent, and the budget of the fork: one in steps counts those that the parent has read.

    Raises:
        ConfigError: the parent has used it up.
    """
    made, pace, limit = len(state["history"]["rows"]), module.pace, forked.trainer.max_steps
    budget, updates = pace.budget, pace.updates
    if limit is not None:
        read = made * plan_pace(config.trainer, config.bptt, module.task.batches("train")).steps
        budget = updates = made + math.ceil((limit - read) / pace.steps)
    if budget is not None and budget <= made:
        raise ConfigError(
            f"update = {made}: the fork has a budget of {forked.trainer.budget} in all, and nothing is left of it; a "
            "larger one can be a part of the treatment"
        )
    return {**state["pace"], "budget": budget, "updates": updates}


def _refuse_shapes(weights: dict[str, Any], module: RecurrentModule) -> None:
    """Refuse a network with other weights than those of the run that is continued."""
    fresh = {name: tuple(value.shape) for name, value in module.model.state_dict().items()}
    kept = {name: tuple(value.shape) for name, value in weights.items()}
    if other := next((name for name in {**kept, **fresh} if kept.get(name) != fresh.get(name)), None):
        raise ConfigError(
            f"{other}: {fresh.get(other, 'there is none')} in the fork, {kept.get(other, 'there is none')} in the run "
            "it continues; a fork keeps the weights, so it cannot have other ones"
        )
