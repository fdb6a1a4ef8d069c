"""What makes an arm the arm it is: its definition, which the study keeps, and a digest of it."""

import hashlib
import json
from collections.abc import Mapping

from study.schema import Config
from study.schema.identity import decides_training, deciding, flat_record
from study.sweep.planning.grammar import Dimension

SEARCH = "sweep."
"""Start of the keys of a definition that say how the arm is searched; all others are of its configuration."""


def define(config: Config, search: Mapping[str, Dimension]) -> dict[str, str]:
    """Everything that decides an arm's numbers but the seed, by dotted key, as it is configured."""
    own = {key: value for key, value in flat_record(config).items() if decides_training(key)}
    tuned = {f"{SEARCH}search.{key}": str(dimension) for key, dimension in search.items()}
    if search and config.sweep.objective is not None:
        tuned[f"{SEARCH}objective"] = str(config.sweep.objective)
    if search and config.sweep.search_seeds > 1:
        tuned[f"{SEARCH}search_seeds"] = str(config.sweep.search_seeds)
    return own | tuned


def resolve(definition: Mapping[str, str]) -> dict[str, str]:
    """A definition, recorded by this version or an older one, in the form in which equal arms are equal.

    Keys that decide nothing today are left out, keys that it lacks get their defaults.
    """
    search = {key: value for key, value in definition.items() if key.startswith(SEARCH)}
    return deciding({key: value for key, value in definition.items() if key not in search}) | search


def digest(definition: Mapping[str, str]) -> str:
    """A short name for an arm: the same for definitions that resolve to the same."""
    return hashlib.sha256(json.dumps(resolve(definition), sort_keys=True).encode()).hexdigest()[:12]
