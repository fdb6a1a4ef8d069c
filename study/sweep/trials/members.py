"""Optuna's samplers and pruners by name, with their own arguments, as a configuration gives them."""

import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from study.errors import ConfigError, nearest

Member = TypeVar("Member")


def construct(
    key: str, given: Mapping[str, Any], members: Mapping[str, type[Member]], ours: Mapping[str, Any]
) -> Member:
    """Make one of Optuna's members.

    Args:
        key: of the configuration, such as `sweep.pruner`.
        given: its name, and arguments of it.
        members: by name.
        ours: arguments that are not the configuration's to give.

    Raises:
        ConfigError: naming the key, for a name or an argument that Optuna does not know, or a value that it refuses.
    """
    arguments = dict(given)
    name = arguments.pop("name", None)
    if name not in members:
        hint, kind = nearest(str(name), members), key.rpartition(".")[2]
        raise ConfigError(f"{key}.name = {name!r}: no such {kind}{hint} (allowed: {', '.join(members)})")
    known = [argument for argument in inspect.signature(members[name]).parameters if argument not in ours]
    for argument in set(arguments) - set(known):
        hint = nearest(argument, known)
        raise ConfigError(f"{key}.{argument}: {name} has no such argument{hint} (allowed: {', '.join(known)})")
    try:
        return members[name](**arguments, **ours)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{key} = {dict(given)}: {error}") from error
