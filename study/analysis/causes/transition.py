"""What a trained recurrence can do to its state from one step to the next: eigenvalues of d h_t / d h_{t-1}.

A recurrence that is linear in its state follows a parity only with an eigenvalue below 0 that depends on the input
(Grazzi et al. 2024, arXiv 2411.12537). Of one that is not linear the numbers describe the trained network, no limit.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from study.models import Core, RecurrentModel
from study.models.stepping import evaluating, flatten, step
from study.tasks.contract import Batch

LARGEST = 512
"""Entries of a state: eigenvalues of a larger matrix take seconds a step."""
STEPS, SEQUENCES = 8, 4
"""Followed."""


class Transition(NamedTuple):
    """Along trajectories of a trained network.

    Attributes:
        lowest: the smallest real part of an eigenvalue.
        depends: how much the Jacobian changes with the input at one state, as a share of its norm; the largest seen.
    """

    lowest: float
    depends: float


def transition(model: RecurrentModel, batch: Batch) -> Transition | None:
    """Measure the first steps of a few sequences, without dropout; None where the state is too large, or not finite."""
    with evaluating(model), torch.no_grad():
        encoded = model.encode(batch.inputs[:STEPS, :SEQUENCES])
        state = flatten(model.core.initial_state(encoded))
        if sum(part.shape[-1] for part in state) > LARGEST:
            return None
        lowest, depends = [], []
        for entering in encoded:
            matrices = [
                _matrix(model.core, entering[i : i + 1], [part[:1] for part in state]) for i in range(len(entering))
            ]
            if not torch.stack(matrices).isfinite().all():
                return None
            lowest += [float(torch.linalg.eigvals(matrix).real.min()) for matrix in matrices]
            depends += [float((other - matrices[0]).norm() / matrices[0].norm()) for other in matrices[1:]]
            state = step(model.core, entering, state)
    return Transition(min(lowest), max(depends, default=0.0))


def _matrix(core: Core, entering: Tensor, state: list[Tensor]) -> Tensor:
    """The Jacobian of one step of one sequence, all layers and parts of the state end to end, in float64."""
    sizes = [part.shape[-1] for part in state]

    def stepped(flat: Tensor) -> Tensor:
        return torch.cat(step(core, entering, flat[None].split(sizes, -1)), -1)[0]

    with torch.enable_grad():
        return jacobian(stepped, torch.cat(state, -1)[0]).double()
