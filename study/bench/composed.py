"""Configurations as a command line makes them, for benches."""

from hydra import compose, initialize_config_dir

from study.installation import CONF
from study.schema import Config, validate


def composed(*overrides: str) -> Config:
    """The checked configuration of a run."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return validate(compose("train", [*overrides]))
