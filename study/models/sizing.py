"""The size of a network, counted and chosen: arms whose networks differ in size differ in more than their cells."""

from collections.abc import Callable
from typing import NamedTuple

import psutil
import torch

from study.errors import ConfigError
from study.models.network import RecurrentModel
from study.schema.model.base import LARGEST

WITHIN = 0.02
"""Share of the wanted number by which a network may miss it."""
LARGE = 2048
"""Units a layer up to which a network is taken to fit into memory."""

Make = Callable[[int], RecurrentModel]
"""Builds a network of so many units a layer."""


class Size(NamedTuple):
    """Of a network, with all its cores, its embedding and its head.

    Attributes:
        parameters: numbers that are trained.
        state: numbers that a sequence carries from one step to the next.
    """

    parameters: int
    state: int


def size_of(model: RecurrentModel) -> Size:
    """Count a network."""
    step = next(model.parameters()).new_zeros(1, 1, model.features)
    parts = [part for core in (model.core, model.reverse) if core for part in core.initial_state(step)]
    return Size(sum(p.numel() for p in model.parameters()), sum(part.numel() for part in parts))


def in_words(size: Size) -> str:
    """For a reader."""
    return f"{size.parameters:,} parameters, a state of {size.state:,}"


def refuse_larger_than_memory(units: int, make: Make) -> None:
    """Refuse a network whose weights and their gradients are more than this machine can hold; nothing is allocated.

    Raises:
        ConfigError: naming both.
    """
    if units <= LARGE:
        return
    with torch.device("meta"):
        needed = 2 * sum(parameter.nbytes for parameter in make(units).parameters())
    if needed > (there := psutil.virtual_memory().total):
        raise ConfigError(
            f"model.hidden_size = {units}: the weights and their gradients take {needed / 1e9:,.0f} GB, and this "
            f"machine has {there / 1e9:,.0f} GB"
        )


def units_for(key: str, wanted: int, make: Make) -> int:
    """Units a layer with which a network has a wanted size, within 2%; the nearest one.

    Args:
        key: what is counted, a field of `Size`.
        wanted: so many of it.
        make: builds the network; what it draws is thrown away.

    Raises:
        ConfigError: no number of units comes so near; the nearest ones are named.
    """

    def counted(units: int) -> int:
        with torch.device("meta"):  # shapes without numbers: nothing is drawn, nothing is stored
            return int(getattr(size_of(make(units)), key))

    above = 1
    while above < LARGEST and counted(above) < wanted:
        above *= 2
    below = above // 2
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if counted(middle) >= wanted else (middle, above)
    near = {units: counted(units) for units in (below, above) if units}
    best = min(near, key=lambda units: abs(near[units] - wanted))
    if abs(near[best] - wanted) > WITHIN * wanted:
        nearest = " and ".join(f"{units} units have {count:,}" for units, count in near.items())
        raise ConfigError(
            f"model.match_{key} = {wanted}: no number of units comes within {WITHIN:.0%} of it; {nearest} {key}"
        )
    return best
