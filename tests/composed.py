"""Configurations composed as the command line does."""

from functools import cache

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from study.installation import CONF
from study.schema import Config, validate


@cache
def composed(*overrides: str) -> DictConfig:
    """What Hydra composes, unresolved and to be left as it is: once for all tests, for it takes a fifth of a second."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", list(overrides))


def configured(name: str, *overrides: str) -> Config:
    """The checked one of `task=<name>` with some overrides."""
    return validate(composed(f"task={name}", *overrides))
