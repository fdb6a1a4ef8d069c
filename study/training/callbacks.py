"""Lightning callbacks of the user's own, by the dotted names of their classes: `trainer.callbacks`."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from study.errors import ConfigError


def build(plans: Sequence[str | Mapping[str, Any]]) -> list[pl.Callback]:
    """Import and build callbacks; modules in the current folder are found too, also by a command that is installed.

    Args:
        plans: of each the dotted name of its class, or a mapping of `class` and the arguments of its constructor.

    Raises:
        ConfigError: there is no such class, it is no callback, or it does not take the arguments.
    """
    if plans and (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    return [_build(plan if isinstance(plan, str) else plan["class"], plan) for plan in plans]


def _build(name: str, plan: str | Mapping[str, Any]) -> pl.Callback:
    options = {} if isinstance(plan, str) else {key: value for key, value in plan.items() if key != "class"}
    module, _, wanted = name.rpartition(".")
    try:
        found = getattr(import_module(module), wanted)
        callback = found(**options)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        said = " ".join(str(error).split())
        raise ConfigError(f"trainer.callbacks = {name!r}: {type(error).__name__}: {said}") from error
    if not isinstance(callback, pl.Callback):
        raise ConfigError(f"trainer.callbacks = {name!r}: a subclass of pytorch_lightning.Callback is needed")
    return callback
