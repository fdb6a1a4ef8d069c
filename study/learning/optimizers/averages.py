"""Averages of the parameters that an optimizer keeps, put in the place of the parameters."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.optim import Optimizer

AVERAGE = "ax"
"""Where an optimizer's state keeps the average of a parameter, as torch's ASGD does."""


@contextmanager
def averaged(optimizer: Optimizer) -> Iterator[None]:
    """Let the averages stand in the parameters within the block, where the optimizer keeps any."""
    take_averages(optimizer)
    try:
        yield
    finally:
        take_averages(optimizer)


@torch.no_grad()
def take_averages(optimizer: Optimizer) -> None:
    """Exchange every parameter with its average; what has none stays."""
    for parameter, state in optimizer.state.items():
        if AVERAGE in state:
            trained = parameter.clone()
            parameter.copy_(state[AVERAGE])
            state[AVERAGE].copy_(trained)
