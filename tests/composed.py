"""Configurations composed as the command line does."""

from copy import deepcopy
from functools import cache
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from study.installation import CONF
from study.schema import Config, validate
from study.schema.defaults import option
from study.schema.registry import Registry


def composed(*overrides: str) -> DictConfig:
    """What Hydra composes, unresolved.

    To compose takes a fifth of a second, so what is chosen of the groups is composed once for all tests, and the values
    are put into a copy by the function with which Hydra puts them in, in its order.
    """
    values = [override for override in overrides if not _chooses(override)]
    config = deepcopy(_composed(*(override for override in overrides if override not in values)))
    ConfigLoaderImpl._apply_overrides_to_config(OverridesParser.create().parse_overrides(values), config)
    return config


@cache
def _composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", list(overrides))


def _chooses(override: str) -> bool:
    """Whether it chooses an option of a group."""
    return (CONF / override.partition("=")[0]).is_dir()


def configured(name: str, *overrides: str) -> Config:
    """The checked one of `task=<name>` with some overrides."""
    return validate(composed(f"task={name}", *overrides))


def member(registry: Registry, group: str, name: str, **changes: Any) -> Any:
    """The checked configuration of a member alone, as its file in `conf/` has it but for some changes."""
    return registry.config(name).model_validate(option(group, name) | changes)
