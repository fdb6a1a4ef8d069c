r"""How far gradients reach back, and the truncation whose relative bias is within a bound.

Of the loss of one step s, over the sequences of a batch (Aicher, Foti & Fox 2019, arXiv 1905.07473, sections 3 and 4;
their released code is followed where the paper leaves a choice):

    phi_k = mean || d loss_s / d h_{s-k} ||        what one more lag can add to a gradient, at most
    g_K   = mean sum_{k < K} d loss_s / d h_{s-k}  what a truncation that keeps K lags sees

h is the whole state that one step hands to the next, all layers and parts; at lag 0 it is what the loss reads. g_K is
the truncated gradient of a vector that is added to the state at every step: no constant for || dh / d theta || enters.
Beyond the largest lag R that is measured, phi goes on geometrically, at the rate beta of a least-squares line through
log phi over the second half of the lags. Then

    E_K = sum_{k >= K} phi_k                        bounds what K lags miss
    delta_K <= E_K / max_j (|| g_j || - E_j)        bounds it relative to the whole gradient (triangle inequality)
"""

import math

import numpy as np
import torch
from jaxtyping import Float

from study.learning.losses import Loss
from study.models import RecurrentModel, State, detach
from study.tasks.contract import Batch


def position(batch: Batch) -> int:
    """The latest step at which at least half as many sequences count as at any."""
    if batch.mask is None:
        return len(batch.targets) - 1
    counting = batch.mask.sum(1)
    return int((2 * counting >= counting.max()).nonzero()[-1])


def gradients_by_lag(
    model: RecurrentModel, loss: Loss, batch: Batch, state: State | None, lags: int
) -> tuple[Float[np.ndarray, " lags"], Float[np.ndarray, " lags"]]:
    """phi_0..phi_R and || g_1 ||..|| g_{R+1} ||, in float64.

    The core is called a step at a time: what its states hand on between two calls is all that a truncation cuts.

    Args:
        model: in the mode it is in; its parameters get no gradient.
        loss: undivided, taken at one step.
        batch: up to the step of the loss.
        state: before the batch.
        lags: R, less than the steps there are.
    """
    if lags + 1 < len(batch.targets):
        with torch.no_grad():
            _, state = model(batch.inputs[: -lags - 1], state)
    states: list[State] = []
    state = detach(state)
    with torch.enable_grad():
        for entering in model.encode(batch.inputs[-lags - 1 :]).detach().split(1):
            hidden, state = model.core(entering, state)
            states.append(state)
        last = batch.between(len(batch.targets) - 1, len(batch.targets))
        total = loss.total(model.decode(hidden), last.targets, last.mask)
        passed = [part for each in reversed(states[:-1]) for part in each]
        # A step need not read every part of the state that it is handed: h is only an output of some cores.
        asked = [hidden, *passed]
        own, *earlier = torch.autograd.grad(total, asked, allow_unused=True, materialize_grads=True)
    start = tuple(torch.zeros_like(part) for part in states[-1])
    start[0][-1] = own[0]
    parts = len(start)
    found = [start, *(tuple(earlier[i : i + parts]) for i in range(0, len(earlier), parts))]
    counting = slice(None) if last.mask is None else last.mask[0]
    slopes = torch.stack([_rows(lag)[counting] for lag in found])
    sums = slopes.mean(1).cumsum(0).norm(dim=-1)
    return slopes.norm(dim=-1).mean(1).cpu().numpy(), sums.cpu().numpy()


def _rows(state: State) -> Float[torch.Tensor, "batch width"]:
    """All layers and parts of every sequence end to end, in float64."""
    return torch.cat([part.detach().double().transpose(0, 1).flatten(1) for part in state], 1)


def fewest_lags(
    phi: Float[np.ndarray, " lags"], norms: Float[np.ndarray, " lags"], delta: float, most: int, last: float
) -> int:
    """The least K, up to `most`, whose delta_K is bounded by `delta`; `most` where no K is, or nothing is finite.

    Args:
        phi: phi_0..phi_R.
        norms: || g_1 ||..|| g_{R+1} ||.
        delta: see above.
        most: largest K.
        last: the largest lag there is, at least R; inf on a stream.
    """
    with np.errstate(all="ignore"):
        beta = _rate(phi)
        further = np.arange(1, min(most, last) - len(phi) + 2)
        extended = np.concatenate([phi, phi[-1] * beta**further])
        rest = _tail(float(extended[-1]), beta, last - len(extended) + 1)
        missing = rest + np.append(extended[::-1].cumsum()[::-1], 0.0)
        floor = (norms - missing[1 : len(norms) + 1]).max()
        within = np.flatnonzero(missing[1 : most + 1] <= delta * floor)
    return int(within[0]) + 1 if len(within) else most


def _rate(phi: Float[np.ndarray, " lags"]) -> float:
    """Beta; 1 of a single lag, which says nothing, and 0 where fewer than two are above 0."""
    if len(phi) == 1:
        return 1.0
    lags = np.arange((len(phi) - 1) // 2, len(phi))
    lags = lags[phi[lags] > 0]
    return float(np.exp(np.polyfit(lags, np.log(phi[lags]), 1)[0])) if len(lags) > 1 else 0.0


def _tail(start: float, beta: float, terms: float) -> float:
    """The sum of start beta^j over j = 1..terms."""
    if start == 0 or terms <= 0:
        return 0.0
    if math.isinf(terms):
        return start * beta / (1 - beta) if beta < 1 else math.inf
    return start * float((beta ** np.arange(1, int(terms) + 1)).sum())
