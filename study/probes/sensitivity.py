r"""Sensitivity of the state to its own parameters: the curse of memory.

    S_t = E ||d m_t / d theta||_F^2 / E ||m_t||^2,

m_t being the part of the state that carries the past, all layers together, theta the recurrent parameters, E the mean
over sequences. The derivative counts every way in which theta acted on the steps before t: the longer a network
remembers, the more a small step of its parameters moves its states, although no gradient explodes (Zucchet & Orvieto
2024, arXiv 2405.21064, section 2). For h' = lambda h + x with white x and q = lambda^2 it is (1 + q) / (1 - q)^3 over
1 / (1 - q): 2.2 for lambda = .5, but 556 for .97. A network without memory has about as many as a state has entries.

One derivative in forward mode along a random direction of signs, theta + e u, gives d m_t / d theta u at all steps of
all sequences at once, and E_u ||J u||^2 = ||J||_F^2 (Hutchinson 1989). Taken in float64 on the CPU: fused kernels of
other devices have no forward mode.

Activations: squared units of state per squared unit of weight, divided by squared units of state.
"""

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call

from study.learning.bptt import TruncatedBPTT
from study.models import Core
from study.models.stepping import evaluating, flatten, step
from study.probes.flow import reachable
from study.probes.result import ProbeResult
from study.schema.probe import SensitivityConfig
from study.tasks.contract import Batch


@dataclass(frozen=True)
class Sensitivity(ProbeResult):
    """Both means at every step.

    Attributes:
        moved: the mean over sequences and directions of ||d m_t / d theta u||^2; NaN without recurrent parameters.
        size: the mean over sequences of ||m_t||^2.
    """

    moved: Float[np.ndarray, " time"]
    size: Float[np.ndarray, " time"]

    @property
    def ratio(self) -> Float[np.ndarray, " time"]:
        """S_t; NaN where the state is zero."""
        with np.errstate(all="ignore"):
            return self.moved / self.size

    @classmethod
    def measure(cls, plan: SensitivityConfig, bptt: TruncatedBPTT, batch: Batch) -> "Sensitivity":
        """See `ProbeResult`."""
        model, steps = bptt.model, reachable(batch) + 1
        chosen = (batch.lengths >= steps).nonzero()[: plan.sequences, 0].to(batch.inputs.device)
        with evaluating(model), torch.no_grad():
            encoded = model.encode(batch.inputs[:steps, chosen])
        return sensitivity(model.core, encoded, plan.draws)

    def scalars(self) -> dict[str, float]:
        """See `ProbeResult`; it is a profile over steps, in the table: a run has no more than 40 charts."""
        return {}

    def columns(self) -> dict[str, Any]:
        """See `ProbeResult`; a row for every step."""
        return {"step": np.arange(1, len(self.size) + 1), "moved": self.moved, "size": self.size, "ratio": self.ratio}


def sensitivity(core: Core, encoded: Float[Tensor, "time batch features"], draws: int) -> Sensitivity:
    """Measure it along `draws` random directions, always the same ones.

    Args:
        core: stays as it is.
        encoded: what enters it, from the initial state on.
        draws: directions averaged over; the relative error of one is below sqrt(2), of n that over sqrt(n).
    """
    core = copy.deepcopy(core).to("cpu", torch.float64)
    encoded = encoded.to("cpu", torch.float64)
    taken = [responses(core, encoded, direction) for direction in _directions(core, draws)]
    moved = torch.stack([each for each, _ in taken]).mean((0, 2))
    if not core.recurrent_parameters:
        moved = torch.full_like(moved, torch.nan)
    return Sensitivity(moved.numpy(), taken[0][1].mean(1).numpy())


def responses(
    core: Core, encoded: Float[Tensor, "time batch features"], direction: dict[str, Tensor]
) -> tuple[Float[Tensor, "time batch"], Float[Tensor, "time batch"]]:
    """||d m_t / d theta u||^2 and ||m_t||^2 at every step of every sequence.

    Args:
        core: on the device of `encoded`, of its type.
        encoded: what enters it, from the initial state on.
        direction: u, by name of the parameters of the core that it moves.
    """
    part, parts = core.state_parts.index(core.memory), len(core.state_parts)
    with evaluating(core), torch.no_grad(), forward_ad.dual_level():
        moving = {f"core.{name}": _moving(core.get_parameter(name), u) for name, u in direction.items()}
        states = functional_call(_Steps(core), moving, (encoded,))
        memory = [torch.cat(after[part::parts], -1) for after in states]
        pairs = [forward_ad.unpack_dual(m) for m in memory]
        tangents = [torch.zeros_like(m) if tangent is None else tangent for m, tangent in pairs]
    return torch.stack(tangents).square().sum(-1), torch.stack([pair.primal for pair in pairs]).square().sum(-1)


def _moving(parameter: Tensor, direction: Tensor) -> Tensor:
    """A parameter with the direction in which it moves; torch's first one warns of torch's own source."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        return forward_ad.make_dual(parameter.detach(), direction)


class _Steps(nn.Module):
    """All steps of a core as one call, because parameters can be exchanged for the time of a call."""

    def __init__(self, core: Core):
        super().__init__()
        self.core = core

    def forward(self, encoded: Tensor) -> list[list[Tensor]]:
        """The states after every step, each in the order of `study.probes.path.flatten`."""
        state, states = flatten(self.core.initial_state(encoded)), []
        for entering in encoded:
            state = step(self.core, entering, state)
            states.append(state)
        return states


def _directions(core: Core, draws: int) -> Iterator[dict[str, Tensor]]:
    """Random signs for every recurrent parameter."""
    random = torch.Generator().manual_seed(0)  # its own, so that the training's random state stays as it is
    named = {name: core.get_parameter(name) for name in core.recurrent_parameters}
    for _ in range(draws):
        yield {n: torch.randint(0, 2, p.shape, generator=random).to(p) * 2 - 1 for n, p in named.items()}
