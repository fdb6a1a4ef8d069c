"""How recurrent weights start."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from study.models.contract import Core
from study.schema.model.base import Start

ENTRIES = 15
"""Entries other than zero in a row of a sparse start: so many units each one hears (Martens 2010)."""


@torch.no_grad()
def initialise_recurrent(core: Core, start: Start, gain: float) -> None:
    """Draw every recurrent block anew.

    orthogonal   gain times an orthogonal matrix: it keeps every norm, so that the linear network's gradient neither
                 shrinks nor grows (Saxe et al. 2014)
    uniform      in +-gain / sqrt(its size)
    identity     gain times I: with relu, units that only add up (Le, Jaitly & Hinton 2015, arXiv 1504.00941: IRNN)
    sparse       `ENTRIES` ~ N(0, 1) at random places of every row, all if there are no more, scaled to a spectral
                 radius of gain (Sutskever et al. 2013, On the importance of initialization and momentum)
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
    elif start == "identity":
        nn.init.eye_(matrix).mul_(gain)
    elif start == "sparse":
        _draw_sparse(matrix, gain)
    else:
        bound = gain / math.sqrt(matrix.shape[1])
        nn.init.uniform_(matrix, -bound, bound)


def _draw_sparse(matrix: Tensor, radius: float) -> None:
    heard = torch.rand_like(matrix).argsort(1) < ENTRIES
    matrix.normal_().mul_(heard)
    matrix.mul_(radius / torch.linalg.eigvals(matrix.double()).abs().max())


def chrono_biases(hidden_size: int, longest: int) -> Tensor:
    """Biases of forget gates whose units keep their cell for times spread evenly from 1 to `longest` - 1 steps.

    log U(1, T - 1), T = `longest` (Tallec & Ollivier 2018, arXiv 1804.11188, section 2); the input gate starts at the
    negative of the same draw, so that what a unit keeps long it takes in slowly.
    """
    return torch.empty(hidden_size).uniform_(1, longest - 1).log()
