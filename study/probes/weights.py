r"""The recurrent weights themselves: what their spectrum allows the gradient to do.

For every recurrent block W of a core (one an Elman layer, one for each gate of LSTM and GRU): the spectral radius
max |eigenvalue|, the largest singular value ||W||_2, and the non-normality of Henrici 1962,

    sqrt(||W||_F^2 - sum |eigenvalue|^2) / ||W||_F,    0 for a normal matrix, near 1 for a nearly nilpotent one.

For h_t = act(W h_{t-1} + ..) with slopes of act at most 1: ||W||_2 < 1 makes gradients vanish, a spectral radius above
1 is needed for them to explode (Pascanu, Mikolov & Bengio 2013, section 2.1). In a non-normal network they may grow
for a while though the radius is below 1 (Kerg et al. 2019, arXiv 1905.12080).
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.models import Core
from study.probes.result import ProbeResult
from study.tasks.contract import Batch


class BlockMeasures(NamedTuple):
    """One recurrent block of one layer, and the three measures of it."""

    layer: int
    block: int
    spectral_radius: float
    largest_singular_value: float
    non_normality: float


@dataclass(frozen=True)
class Weights(ProbeResult):
    """The measures of every block."""

    blocks: list[BlockMeasures]

    @classmethod
    def measure(cls, plan: bool, bptt: TruncatedBPTT, batch: Batch) -> "Weights":
        """See `ProbeResult`."""
        return recurrent_weights(bptt.model.core)

    def scalars(self) -> dict[str, float]:
        """See `ProbeResult`; the largest over all blocks, NaN if the core has none."""
        return {"weights/spectral_radius": max((block.spectral_radius for block in self.blocks), default=math.nan)}

    def columns(self) -> dict[str, Any]:
        """See `ProbeResult`; a row for every block."""
        return {field: [getattr(block, field) for block in self.blocks] for field in BlockMeasures._fields}


@torch.no_grad()
def recurrent_weights(core: Core) -> Weights:
    """Measure every recurrent block of a core, in float64."""
    return Weights([BlockMeasures(layer, block, *_measure(matrix)) for layer, block, matrix in core.recurrent_blocks()])


def _measure(weight: Float[Tensor, "size size"]) -> tuple[float, float, float]:
    """Spectral radius, largest singular value, non-normality; NaN where a weight is not finite."""
    if not weight.isfinite().all():
        return math.nan, math.nan, math.nan
    eigenvalues, exact = torch.linalg.eigvals(weight.double()).abs(), weight.double()
    frobenius = exact.square().sum()
    departure = (frobenius - eigenvalues.square().sum()).clamp(min=0).sqrt()
    return float(eigenvalues.max()), float(torch.linalg.matrix_norm(exact, 2)), float(departure / frobenius.sqrt())
