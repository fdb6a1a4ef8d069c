"""The loss in a file of the user's own: loaded, built and tried before anything is trained."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from study.errors import ConfigError
from study.learning.losses.contract import OverTime, Scale, StepLoss
from study.own import OwnClass

TIME, WIDTH, SIZE = 2, 3, 4


def own(over_time: OverTime, scale: Scale, file: str, digest: str | None, options: Mapping[str, Any]) -> StepLoss:
    """The loss in a file; its constructor gets the options alone.

    Raises:
        ConfigError: the file, the class, its constructor or its `per_step` cannot be used; with file and line.
    """
    loaded = OwnClass("loss", file, digest, StepLoss)
    loaded.refuse_options(options, ("over_time", "scale"))
    loss: StepLoss = loaded.build(**options)
    loss.over_time, loss.scale = over_time, scale
    _try_targets(loaded, loss)
    return loss


def _try_targets(loaded: OwnClass, loss: StepLoss) -> None:
    """Refuse a loss that takes none of the kinds of targets that there are."""
    values, classes = _values(SIZE), torch.zeros(TIME, WIDTH).long()
    examples = (values, SIZE), (classes, 2), (classes, SIZE)
    refused = [_refused(loaded, loss, targets, size) for targets, size in examples]
    if all(refused):
        raise ConfigError(str(refused[0]))


def _refused(loaded: OwnClass, loss: StepLoss, targets: Tensor, size: int) -> str | None:
    """What is wrong with a loss on targets of `size` values or classes; None: nothing."""
    at, name = loaded.at(type(loss).per_step), type(loss).__name__
    try:
        with loaded.explained(f"while {name} was tried"):
            outputs = _values(loss.outputs(size) + loss.constants(size))
            found = loss.per_step(outputs, targets)
            loss.predict(outputs)
    except ConfigError as error:
        return str(error)
    if isinstance(found, Tensor) and found.shape == (TIME, WIDTH):
        return None
    shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
    return f"{at}: {name}.per_step returns {shape}, not one loss for every step, {(TIME, WIDTH)} (time, batch)"


def _values(size: int) -> Tensor:
    return torch.linspace(-1, 1, TIME * WIDTH * size).view(TIME, WIDTH, size)
