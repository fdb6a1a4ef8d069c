"""What is wrong with a configuration, in words that name its keys as they are typed."""

from collections.abc import Sequence
from typing import Any

from study.errors import nearest, shown
from study.schema import lightning
from study.schema.base import Strict, group_classes, option_names, reason


def explain(item: Any, raw: Any, whole: type[Strict]) -> str:
    """One readable line for one of pydantic's errors: the key, its value, what is allowed.

    Args:
        item: the error.
        raw: the values that were checked.
        whole: the config class of all of them.
    """
    names = _names(raw, item["loc"])
    path = ".".join(names)
    if item["type"] == "extra_forbidden":
        *parents, name = names
        siblings = _allowed(raw, parents, whole)
        hint = lightning.reason(path) or nearest(name, siblings)
        return f"{path}: no such key{hint} (allowed here: {', '.join(siblings)})"
    message = reason(item["msg"])
    if isinstance(item["input"], dict):
        return f"{path}: {message}" if path else message
    return f"{path} = {shown(item['input'])}: {message}"


def _allowed(raw: Any, path: Sequence[str], whole: type[Strict]) -> list[str]:
    """The keys a group may have, of the option that is chosen there."""
    classes: list[type[Strict]] = [whole]
    for part in path:
        raw = raw[part]
        groups = [found.model_fields[part].annotation for found in classes if part in found.model_fields]
        classes = [found for group in groups for found in group_classes(group)]
        classes = [found for found in classes if raw.get("name") in option_names(found)] or classes
    return sorted({name for found in classes for name in found.model_fields})


def _names(raw: Any, location: tuple[Any, ...]) -> list[str]:
    """The keys of a pydantic location, without the union tags that stand in no config file; a key may have dots."""
    names: list[str] = []
    tagged = False
    for place, part in enumerate(location):
        if isinstance(raw, dict) and raw.get("name") == part and not tagged:
            tagged = True  # what follows is a key, also where the option has one of its own name
            continue
        tagged, last = False, place == len(location) - 1
        inside = isinstance(raw, dict) and (part in raw or last)
        if inside or (isinstance(raw, list) and isinstance(part, int)):
            names.append(str(part))
            raw = raw[part] if isinstance(raw, list) else raw.get(part)
    return names
