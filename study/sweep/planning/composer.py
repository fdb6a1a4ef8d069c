"""Configurations of single runs, composed from their overrides as Hydra composes a command line. No torch here."""

from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from study.command.arguments import closed, opened
from study.command.messages import explain
from study.errors import ConfigError
from study.schema import Config, open_keys, validate

QUIET = ["trainer.progress_bar=false"]
"""Overrides of every run of a sweep, which has a display of its own."""


class Composer:
    """Composes the configuration of one run.

    Args:
        loader: of Hydra.
        master: the composed configuration of the sweep.
        fixed: overrides of every run, as typed.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig, fixed: Sequence[str] = ()):
        self._loader, self._master, self._fixed = loader, master, fixed

    def within(self, fixed: Sequence[str]) -> "Composer":
        """A composer with other fixed overrides."""
        return Composer(self._loader, self._master, fixed)

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The composed, not yet validated configuration, without Hydra's own node."""
        try:
            given = map(opened, [*self._fixed, *overrides, *QUIET])
            composed = self._loader.load_sweep_config(self._master, list(given))
        except HydraException as error:
            raise ConfigError(explain(error)) from error
        with open_dict(composed):
            del composed["hydra"]
            composed["sweep"] = self._master["sweep"]  # as typed: it is one for all runs
        return composed

    def check(self, overrides: Sequence[str]) -> Config:
        """Compose and validate.

        Raises:
            ConfigError: naming the overrides with the offending key.
        """
        try:
            return validate(self.compose(overrides))
        except ConfigError as error:
            raise ConfigError(f"{error}\n(in the arm {' '.join(overrides)})" if overrides else str(error)) from error

    def parse(self, arguments: Sequence[str]) -> list[Override]:
        """Parse typed overrides; in `glob(*)` the options of the group are known."""
        return OverridesParser.create(config_loader=self._loader).parse_overrides([*map(closed, arguments)])

    def groups(self) -> set[str]:
        """Names of the config groups."""
        return set(self._loader.list_groups(""))


def exists(config: DictConfig, key: str) -> bool:
    """Whether a configuration has a key, be it null: `clip.threshold` exists only where something is clipped.

    What an own file takes is not known here: `model.options.rate` exists wherever a model has options.
    """
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and (name in node or parent in open_keys())
