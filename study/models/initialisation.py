"""How recurrent weights start."""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from study.models.contract import Core

Start = Literal["orthogonal", "uniform"]


@torch.no_grad()
def initialise_recurrent(core: Core, start: Start, gain: float) -> None:
    """Draw every recurrent block anew: orthogonal times gain, or uniform in +-gain / sqrt(its size).

    An orthogonal W_hh keeps every norm: the linear network's gradient neither shrinks nor grows (Saxe et al. 2014).
    """
    start_blocks((block.matrix for block in core.recurrent_blocks()), start, gain)


@torch.no_grad()
def start_blocks(matrices: Iterable[Tensor], start: Start, gain: float) -> None:
    """The same for square matrices given one by one."""
    for matrix in matrices:
        _draw(matrix, start, gain)


def _draw(matrix: Tensor, start: Start, gain: float) -> None:
    if start == "orthogonal":
        nn.init.orthogonal_(matrix, gain=gain)
    else:
        bound = gain / math.sqrt(matrix.shape[1])
        nn.init.uniform_(matrix, -bound, bound)
