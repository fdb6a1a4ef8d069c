r"""Update geometry: what one more update of this run would do, tried on a copy.

g being the gradient of the frozen batch, d the step the optimizer makes of it (clipping, momentum and all):

    weight ratio     ||d|| / ||theta||           near 1e-3 in runs that learn well
    effective rate   ||d|| / ||g||               the learning rate after clipping and the optimizer's own scaling
    smoothness       ||g(theta + d) - g|| / ||d||   the local Lipschitz constant of the gradient along the step; it
                     grows with ||g||, which is why clipping helps (Zhang, He, Sra & Jadbabaie 2020, arXiv 1905.11881)
    noise scale      tr(Sigma) / |G|^2, in sequences: the batch size at which noise and signal are equal, by the
                     two-batch-size estimator (McCandlish et al. 2018, arXiv 1812.06162, appendix A.1), the small
                     batches being parts of the large one; noisy, and below zero if there is nothing but noise

Gradients are those of full BPTT; the step is truncated as in training. The first two cost little more than an update;
the last two are optional.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.probes.gradients import Rehearsal, columns
from study.probes.result import ProbeResult
from study.schema.probe import GeometryConfig
from study.tasks.contract import Batch


@dataclass(frozen=True)
class Geometry(ProbeResult):
    """The measures above and ||g||; smoothness and noise scale are NaN if they were not asked for."""

    gradient_norm: float
    weight_ratio: float
    effective_rate: float
    smoothness: float
    noise_scale: float

    @classmethod
    def measure(cls, plan: GeometryConfig, bptt: TruncatedBPTT, batch: Batch) -> "Geometry":
        """See `ProbeResult`."""
        return update_geometry(bptt, batch, plan.parts)

    def scalars(self) -> dict[str, float]:
        """See `ProbeResult`; smoothness only means something beside ||g||, so it is in the table alone."""
        noise = {} if math.isnan(self.noise_scale) else {"geometry/noise_scale": self.noise_scale}
        return {"geometry/weight_ratio": self.weight_ratio} | noise

    def columns(self) -> dict[str, Any]:
        """See `ProbeResult`; one row."""
        return {key: [value] for key, value in vars(self).items()}


def update_geometry(bptt: TruncatedBPTT, batch: Batch, parts: int | None) -> Geometry:
    """Try one update on a copy.

    Args:
        bptt: what trains.
        batch: sequences from their initial state on.
        parts: number of small batches, of equal size, for the noise scale; sequences left over are not used. None:
            neither smoothness nor noise scale.
    """
    small = batch.targets.shape[1] // parts if parts else 0
    batch = columns(batch, 0, small * parts) if parts and small else batch
    rehearsal = Rehearsal(bptt)
    gradient, before = rehearsal.gradient(batch), rehearsal.parameters
    pieces = [columns(batch, i * small, (i + 1) * small) for i in range(parts or 0)] if small else []
    smalls = [rehearsal.gradient(piece) for piece in pieces]
    rehearsal.step(batch)
    step = rehearsal.parameters - before
    return Geometry(
        gradient_norm=float(gradient.norm()),
        weight_ratio=float(step.norm() / before.norm()),
        effective_rate=float(step.norm() / gradient.norm()),
        smoothness=float((rehearsal.gradient(batch) - gradient).norm() / step.norm()) if parts else math.nan,
        noise_scale=noise_scale(gradient, torch.stack(smalls), small) if smalls else math.nan,
    )


def noise_scale(large: Float[Tensor, " parameters"], smalls: Float[Tensor, "parts parameters"], size: int) -> float:
    """tr(Sigma) / |G|^2 from the gradient of a large batch and those of its parts of `size` sequences."""
    # E ||gradient of B sequences||^2 = |G|^2 + tr(Sigma) / B: two batch sizes give two equations for the two unknowns.
    whole, part = large.square().sum(), smalls.square().sum(1).mean()
    total = size * len(smalls)
    signal = (total * whole - size * part) / (total - size)
    noise = (part - whole) / (1 / size - 1 / total)
    return float(noise / signal)
