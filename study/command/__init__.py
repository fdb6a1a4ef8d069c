"""The command line around Hydra's: an unusable configuration becomes one readable message and exit code 2."""

import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from study.addresses import keep
from study.command import arguments, usage
from study.command.messages import explained, refuse
from study.disk import writing
from study.errors import ConfigError, Trouble
from study.installation import CONF, SILENT
from study.terminal import interruptible

INFORMS = ("--cfg", "-c", "--info", "-i", "--shell-completion", "-sc", "--hydra-help")
"""Hydra's options that print something and run nothing: nothing else may be printed then."""


def command(job: Callable[[DictConfig], None]) -> Callable[[], None]:
    """Make a Hydra application of `job`, over `conf/train.yaml`, that explains wrong configurations in words.

    Any other exception keeps its traceback: it is a defect, not a wrong input.
    """

    @functools.wraps(job)
    def refusing(composed: DictConfig) -> None:
        try:
            with writing():
                job(composed)
        except ConfigError as error:
            if not (isinstance(error, Trouble) and error.then):  # else there is a run, and these are its files
                with suppress(OSError):  # it may be read-only by now
                    _leave_nothing(HydraConfig.get())
            refuse(error)  # here, not below: Hydra would print lines of its own first

    application = hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(refusing)

    @interruptible
    def main() -> None:
        if {"--help", "-h"}.intersection(sys.argv):
            return print(usage.text(sys.argv[1:]))
        os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises instead of printing and exiting
        os.environ.update(SILENT | os.environ)  # before a launcher imports Ray; workers have it from here
        try:
            sys.argv[1:] = map(keep, sys.argv[1:])  # before anything shows or stores what was typed
            _refuse_contradictions(sys.argv[1:])
            sys.argv[1:] = _settled(arguments.prepared(sys.argv[1:]))
            _skip_search_for_mode()
            with writing(), explained():
                application()
        except ConfigError as error:
            refuse(error)

    return main


def _refuse_contradictions(typed: list[str]) -> None:
    """Refuse what Hydra answers with a traceback.

    Raises:
        ConfigError: naming it.
    """
    for argument in typed:
        if argument.lstrip("+").startswith("hydra.mode="):
            raise ConfigError(f"{argument}: add --multirun for many runs, and nothing for one")
        if argument.startswith("hydra/sweeper=") and argument != "hydra/sweeper=study":
            raise ConfigError(f"{argument}: the runs of a sweep are planned by hydra/sweeper=study")
        if argument.startswith("--experimental-rerun"):
            raise ConfigError(f"{argument}: a logged run is made again by study-reproduce")
    if len(doing := [argument for argument in typed if argument in ("--run", "-r", "--multirun", "-m", *INFORMS)]) > 1:
        raise ConfigError(f"{' and '.join(doing)}: one of them at a time")


def _settled(typed: list[str]) -> list[str]:
    """What was typed with one budget; a line says what it replaces."""
    known = arguments.budgets_in_files(typed)
    if (note := arguments.describe_budget(typed, known)) and not set(INFORMS).intersection(typed):
        print(note, file=sys.stderr)
    return arguments.settled(typed, known)


def _skip_search_for_mode() -> None:
    """Keep Hydra from composing everything once more, only to find `hydra.mode` in it: --multirun says the mode."""
    from hydra._internal.hydra import Hydra

    assert callable(Hydra.get_mode)  # a version of Hydra without it must not pass unseen
    setattr(Hydra, "get_mode", lambda *_, **__: None)  # noqa: B010, what follows takes None for: as the options say


def _leave_nothing(hydra_config: Any) -> None:
    """Remove what Hydra has written for a run that was refused, up to the current folder; other files stay."""
    folder = Path(hydra_config.runtime.output_dir)
    own = folder / str(hydra_config.output_subdir)
    log = folder / f"{hydra_config.job.name}.log"
    for file in (*(own / f"{name}.yaml" for name in ("config", "hydra", "overrides")), log):
        if file.suffix == ".yaml" or (file.is_file() and not file.stat().st_size):
            file.unlink(missing_ok=True)
    for empty in (own, folder, *folder.parents):
        if empty == Path.cwd() or any(empty.iterdir() if empty.is_dir() else ()):
            break
        empty.rmdir()
