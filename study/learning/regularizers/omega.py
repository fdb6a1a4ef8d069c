r"""Omega: a penalty on steps that change the norm of the gradient they carry back (Pascanu et al. 2013, eq. 9-10).

    Omega = mean over steps t of ( ||J_{t+1}^T delta_{t+1}|| / ||delta_{t+1}|| - 1 )^2,    arXiv 1211.5063

J_{t+1} = d x_{t+1} / d x_t is the Jacobian of one step in the whole state x (all layers, all parts), delta_{t+1} the
gradient of the window's loss with respect to x_{t+1}. Only directions in which a gradient flows are asked to keep it.
States and deltas are constants: the gradient of Omega is the direct one of the J_t, as in the paper.

Departures. (1) The mean over the steps and sequences that a gradient reaches, as in the released code, where the paper
has a sum over steps: alpha means the same for every length. (2) The ratio of norms, as in the paper; the released code
has that of their squares. (3) The paper states a network by its activations, so that only W_hh changes J; here J is of
any core, and every parameter that changes it (W_hh also by the slopes of the units, input weights, biases) has a
gradient.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from study.learning.losses import Loss
from study.learning.regularizers.contract import Passage, Regularizer
from study.models import RecurrentModel
from study.models.stepping import evaluating, flatten, step


class Omega(Regularizer):
    """alpha Omega.

    Args:
        alpha: its weight beside the loss; 2 in the released code.
    """

    def __init__(self, alpha: float):
        self._alpha = alpha

    def penalty(self, model: RecurrentModel, loss: Loss, passage: Passage) -> Float[Tensor, ""]:
        """See `Regularizer`; 0 where no gradient flows from step to step."""
        with evaluating(model):
            encoded = model.encode(passage.steps.inputs).detach()
            state = model.core.initial_state(encoded) if passage.state is None else passage.state
            entries, exits = _single_steps(model, encoded, flatten(state))
            top = -len(model.core.state_parts)
            own = _loss_gradients(model, loss, passage, torch.stack([after[top] for after in exits]))
            return self._alpha * _omega(entries, exits, own, top)


def _single_steps(
    model: RecurrentModel, encoded: Float[Tensor, "time batch features"], state: Sequence[Tensor]
) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
    """The states before every step, cut off from what made them, and after it."""
    entries, exits = [], []
    for entering in encoded:
        entries.append([part.detach().requires_grad_() for part in state])
        exits.append(state := step(model.core, entering, entries[-1]))
    return entries, exits


def _loss_gradients(
    model: RecurrentModel, loss: Loss, passage: Passage, hidden: Float[Tensor, "time batch hidden"]
) -> Float[Tensor, "time batch hidden"]:
    """The loss's own gradient with respect to what leaves the core at every step, up to a constant."""
    hidden, steps = hidden.detach().requires_grad_(), passage.steps
    counting = steps.between(passage.first, len(steps.targets))
    total = loss.total(model.decode(hidden)[passage.first :], counting.targets, counting.mask)
    return torch.autograd.grad(total, hidden)[0]


def _omega(
    entries: list[list[Tensor]], exits: list[list[Tensor]], own: Float[Tensor, "time batch hidden"], top: int
) -> Float[Tensor, ""]:
    """Omega, going back in time; the state before the first step is a constant, so no gradient flows into it."""
    delta = [torch.zeros_like(part) for part in exits[-1]]
    terms, reached = [own.new_zeros(())], [own.new_zeros(())]
    for t in range(len(exits) - 1, 0, -1):
        delta[top] = delta[top] + own[t]
        back = torch.autograd.grad(
            exits[t], entries[t], delta, create_graph=True, allow_unused=True, materialize_grads=True
        )
        before, after = _norm(back), _norm(delta)
        there = after != 0
        change = torch.where(there, before / torch.where(there, after, 1.0) - 1, 0.0)
        terms.append(change.square().sum())
        reached.append(there.sum())
        delta = [part.detach() for part in back]
    return torch.stack(terms).sum() / torch.stack(reached).sum().clamp(min=1)


def _norm(parts: Sequence[Tensor]) -> Float[Tensor, " batch"]:
    """The joint norm of all parts, for every sequence; in float64, where squares of small floats do not vanish."""
    return torch.linalg.vector_norm(torch.cat(tuple(parts), -1), dim=-1, dtype=torch.float64)
