"""Configurations with options of groups chosen: Hydra composes every option once. No torch here."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from pickle import dumps, loads
from typing import Any, NamedTuple

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from study.schema.defaults import parts


class Composed(NamedTuple):
    """What Hydra made of some overrides.

    Attributes:
        config: without Hydra's own node; not to be changed.
        plain: the same in plain values, nothing looked up.
        options: the one chosen of every group.
        copied: the configuration, pickled: a copy takes a fifth of the time that `deepcopy` takes.
    """

    config: DictConfig
    plain: dict[Any, Any]
    options: Mapping[str, Any]
    copied: bytes

    def copy(self) -> DictConfig:
        """The configuration, to be changed."""
        config = loads(self.copied)
        assert isinstance(config, DictConfig)
        return config


class Choices:
    """Composes configurations in which some options are chosen, such as `model=lstm clip=norm`.

    Hydra takes a fifth of a second for one. Options of `conf/` decide parts of their own, so those of many arms are
    composed one by one and put together. Where two decide the same part, or one decides more, Hydra composes all.

    Args:
        loader: of Hydra.
        master: the composed configuration of the sweep.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig):
        self._loader, self._master = loader, master
        self._known: dict[tuple[str, ...], Composed] = {}

    def by_hydra(self, overrides: Sequence[str]) -> Composed:
        """Compose as Hydra does, whatever the overrides are."""
        config = self._loader.load_sweep_config(self._master, list(overrides))
        options = dict(config.hydra.runtime.choices)
        with open_dict(config):
            del config["hydra"]
            config["sweep"] = self._master["sweep"]  # as typed: it is one for all runs
        plain = OmegaConf.to_container(config, resolve=False)
        assert isinstance(plain, dict)
        return Composed(config, plain, options, dumps(config))

    def _once(self, *choices: str) -> Composed:
        if choices not in self._known:
            self._known[choices] = self.by_hydra(choices)
        return self._known[choices]

    def compose(self, fixed: Sequence[str], choices: Sequence[str]) -> DictConfig:
        """A new configuration with all options chosen; `fixed` are those of every arm.

        Raises:
            HydraException: there is no such option.
        """
        if len(choices) > 1:
            with suppress(HydraException):  # Hydra says what is wrong when it composes all of them
                if (joined := self._joined(fixed, choices)) is not None:
                    return joined
        return self._once(*fixed, *choices).copy()

    def _joined(self, fixed: Sequence[str], choices: Sequence[str]) -> DictConfig | None:
        """Put together what every option decides; None where that may not be what Hydra makes of all."""
        decided = {choice: parts(choice.partition("=")[0], choice.partition("=")[2]) for choice in choices}
        keys_of_all = [key for keys in decided.values() for key in keys]
        if not all(decided.values()) or len(keys_of_all) > len({*keys_of_all}):
            return None
        base = self._once(*fixed)
        joined = base.copy()
        for choice, keys in decided.items():
            group, _, option = choice.partition("=")
            if base.options.get(group) == option:
                continue
            one = self._once(*fixed, choice)
            if not _differing(base.plain, one.plain) <= keys:
                return None
            for key in keys:
                joined[key] = deepcopy(one.config[key])
        return joined


def _differing(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> set[Any]:
    """The keys that only one of them has, or that they have with different values."""
    return {key for key in {**one, **other} if key not in one or key not in other or one[key] != other[key]}
