"""What a command does first: it checks before Hydra makes a folder, and prints a line before torch is imported."""

import os
import sys
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from study.command.messages import refuse
from study.errors import ConfigError
from study.schema import Config, SweepingConfig, check
from study.schema.run import NAME_VARIABLE


class Start(Callback):
    """Called by Hydra, see `conf/train.yaml`. Hydra makes a warning of whatever is raised here but an exit."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Check a run, and say what it is."""
        run = _checked(config, [key for key in config if key != "hydra"], Config)
        print(f"{run.slug}: {run.model.name} on {run.task.name}, {run.trainer.budget}", file=sys.stderr)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Check what is one for all runs of a sweep."""
        print(
            f"{_checked(config, [*SweepingConfig.model_fields], SweepingConfig).slug}: planning the runs",
            file=sys.stderr,
        )


def _checked(config: DictConfig, keys: list[Any], kind: Any) -> Any:
    try:
        checked = check(OmegaConf.masked_copy(config, keys), kind)
    except ConfigError as error:
        refuse(str(error))
    if (name := os.environ.get(NAME_VARIABLE, checked.slug)) != checked.slug:
        print(f"{NAME_VARIABLE} = {name!r} is not used: slug = {checked.slug!r} was given.", file=sys.stderr)
    return checked
