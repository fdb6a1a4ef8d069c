"""What a command does first: it checks before Hydra makes a folder, and prints a line before torch is imported."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from study.command.messages import refuse
from study.disk import refuse_unwritable
from study.errors import ConfigError
from study.masking import ALLOWED, revealed, revealing
from study.schema import Config, SweepingConfig, check, own
from study.schema.run import NAME_VARIABLE

NOT_GIVEN = {f"hydra.{name}" for name in ("runtime", "help", "hydra_help", "job_logging", "hydra_logging")}
"""What Hydra itself writes into a configuration."""


class Start(Callback):
    """Called by Hydra, see `conf/train.yaml`. Hydra makes a warning of whatever is raised here but an exit."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check a run, and say what it is."""
        run = _checked(config, [key for key in config if key != "hydra"], Config)
        with _refusing():
            refuse_unwritable(Path(config.hydra.run.dir))
        print(f"{run.slug}: {run.model.name} on {run.task.name}, {run.trainer.budget}", file=sys.stderr)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Check what is one for all runs of a sweep."""
        print(
            f"{_checked(config, [*SweepingConfig.model_fields], SweepingConfig).slug}: planning the runs",
            file=sys.stderr,
        )


def refuse_secrets(config: DictConfig, checked: Config | SweepingConfig) -> None:
    """Refuse a configuration with a secret in it: it is written beside the run, and kept with its record.

    Raises:
        ConfigError: naming the key, and where such a value belongs.
    """
    for key, value in (*_texts(OmegaConf.to_container(config, resolve=False)), *_texts(checked.model_dump())):
        if why := revealing(key, value):
            raise ConfigError(
                f"{key}: it looks like a secret ({why}), and a configuration is written beside every run; "
                "give it in an environment variable, which an address reads by ${oc.env:NAME}, and your code by itself"
            )
    for name, text in own.texts(checked).items() if isinstance(checked, Config) else ():
        for line, why in revealed(text):
            raise ConfigError(
                f"{name}, line {line}: it looks like a secret ({why}), and the file is kept with the run; read it from "
                f"an environment variable, or end the line with  # {ALLOWED}  if it is none"
            )


def _texts(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """The texts of nested values, each with its dotted key; what Hydra says of the machine and of itself left out."""
    if key in NOT_GIVEN:
        return
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _texts(value, f"{key}.{name}".lstrip("."))
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value, key)
    elif isinstance(node, str):
        yield key, node


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        refuse(error)


def _checked(config: DictConfig, keys: list[Any], kind: Any) -> Any:
    with _refusing():
        checked = check(OmegaConf.masked_copy(config, keys), kind)
        refuse_secrets(config, checked)
    if (name := os.environ.get(NAME_VARIABLE, checked.slug)) != checked.slug:
        print(f"{NAME_VARIABLE} = {name!r} is not used: slug = {checked.slug!r} was given.", file=sys.stderr)
    return checked
