"""Checked configurations, composed as the command line does."""

from hydra import compose, initialize_config_dir

from study.installation import CONF
from study.schema import Config, validate


def configured(name: str, *overrides: str) -> Config:
    """That of `task=<name>` with some overrides."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return validate(compose("train", [f"task={name}", *overrides]))
