"""Configurations of single runs, composed from their overrides as Hydra composes a command line. No torch here."""

from collections.abc import Collection, Sequence
from copy import copy
from functools import cached_property, lru_cache

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from study.command.arguments import BUDGETS, closed, opened, refuse_no_option, settled
from study.command.messages import explained
from study.errors import ConfigError
from study.schema import Config, open_keys, validate
from study.sweep.planning.options import Choices

QUIET = ["trainer.progress_bar=false"]
"""Overrides of every run of a sweep, which has a display of its own."""


class Composer:
    """Composes the configuration of one run.

    What is chosen of the groups is composed once, see `Choices`, and the values are put into a copy of it.

    Args:
        loader: of Hydra.
        master: the composed configuration of the sweep.
        fixed: overrides of every run, as typed.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig, fixed: Sequence[str] = ()):
        self._loader, self.fixed = loader, fixed
        self._budgets = {key: OmegaConf.select(master, key) for key in BUDGETS}
        self._choices = Choices(loader, master)

    def within(self, fixed: Sequence[str]) -> "Composer":
        """A composer with other fixed overrides, that knows what this one has composed."""
        other = copy(self)
        other.fixed = fixed
        return other

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The composed, not yet validated configuration, without Hydra's own node."""
        refuse_no_option(overrides)
        given = [*map(opened, settled([*self.fixed, *overrides, *QUIET], self._budgets))]
        with explained():
            parsed = [*map(_parsed, given)]
            values = [override for override in parsed if _sets_a_value(override, self.groups)]
            chosen = [text for text, override in zip(given, parsed, strict=True) if override not in values]
            fixed = [text for text in map(opened, self.fixed) if text in chosen]
            composed = self._choices.compose(fixed, [text for text in chosen if text not in fixed])
            return composed if _put(values, composed) else self._choices.by_hydra(given).config

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
        with explained():
            return OverridesParser.create(config_loader=self._loader).parse_overrides([*map(closed, arguments)])

    @cached_property
    def groups(self) -> set[str]:
        """Names of the config groups."""
        return set(self._loader.list_groups(""))


@lru_cache(maxsize=1000)  # every trial of a search has values of its own
def _parsed(override: str) -> Override:
    return OverridesParser.create().parse_overrides([override])[0]


def _sets_a_value(override: Override, groups: Collection[str]) -> bool:
    """Whether it does nothing but give a key a value: it chooses no option, and removes nothing."""
    plain = override.package is None and override.type in (OverrideType.CHANGE, OverrideType.FORCE_ADD)
    return plain and override.key_or_group not in groups and not override.is_sweep_override()


def _put(values: Sequence[Override], composed: DictConfig) -> bool:
    """Put values in, in their order; whether it went well: where not, Hydra says why."""
    try:
        for override in values:
            adds = override.is_force_add()
            OmegaConf.update(composed, override.key_or_group, override.value(), merge=True, force_add=adds)
    except OmegaConfBaseException:
        return False
    return True


def exists(config: DictConfig, key: str) -> bool:
    """Whether a configuration has a key, be it null: `clip.threshold` exists only where something is clipped.

    What an own file takes is not known here: `model.options.rate` exists wherever a model has options.
    """
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return isinstance(node, DictConfig) and (name in node or parent in open_keys())
