"""The clip policy in a file of the user's own: loaded, built and tried before anything is trained."""

from collections.abc import Mapping
from typing import Any

import torch

from study.errors import ConfigError
from study.learning.clipping.contract import Clip, Clipped
from study.own import OwnClass


def own(file: str, digest: str | None, options: Mapping[str, Any]) -> Clip:
    """The clip policy in a file.

    Raises:
        ConfigError: the file, the class, its constructor or its call cannot be used; with file and line.
    """
    loaded = OwnClass("clip", file, digest, Clip)
    loaded.refuse_options(options, ())
    tried, name = loaded.build(**options), loaded.found.__name__
    with torch.no_grad(), loaded.explained(f"while {name} was tried"):
        found = tried([torch.ones(2, 3), torch.ones(4)], [torch.ones(2, 3), torch.ones(4)])
    if not isinstance(found, Clipped):
        at = loaded.at(loaded.found.__call__)
        raise ConfigError(f"{at}: {name} returns a {type(found).__name__}, not Clipped(parameters, total, applied)")
    if missing := sorted({*tried.records} - {*found.records}):
        at = loaded.at(loaded.found.__call__)
        raise ConfigError(f"{at}: {name} names the records {missing}, and its Clipped has none of these")
    clip: Clip = loaded.build(**options)  # a new one: what it remembers of the trial is no part of the run
    return clip
