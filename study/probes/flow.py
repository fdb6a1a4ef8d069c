r"""Gradient flow: how much of the gradient of one step's loss is left k steps before it.

phi_k = mean over the batch of || d loss_s / d state_{s-k} ||_2, lag k = 0..K, the loss taken at ONE position s, the
state being h, or (h, c) together, of all layers. By the chain rule d loss_s / d state_{s-k} is d loss_s / d state_s
times the k Jacobians between, so it shrinks or grows exponentially with the lag (Hochreiter 1991; Bengio, Simard &
Frasconi 1994; Pascanu, Mikolov & Bengio 2013, eq. 5). The sum over later losses would hide the lag.

Units: loss per unit of state; the decay rate is in nats a step.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from study.losses import Loss
from study.models import RecurrentModel, State
from study.tasks.contract import Batch

FROM = 20
"""Decay is fitted from this lag on where the length allows: the first lags are not yet exponential."""


@dataclass(frozen=True)
class Flow:
    """phi by lag, and what it says.

    Attributes:
        log_norms: log || d loss_s / d state_{s-k} || for every lag k and sample, (lags, samples), in nats.
    """

    log_norms: Float[np.ndarray, "lags samples"]

    @property
    def phi(self) -> Float[np.ndarray, " lags"]:
        """phi_k, the mean over samples of the norm."""
        return np.exp(self.log_norms).mean(1)

    def reach(self, lag: int) -> float:
        """phi_lag / phi_0: what is left of the gradient `lag` steps back (the last lag measured, if nearer)."""
        return float(self.phi[min(lag, len(self.phi) - 1)] / self.phi[0])

    @property
    def horizon(self) -> int:
        """The effective horizon: the largest lag with phi_k >= 1% of phi_0."""
        return int(np.flatnonzero(self.phi >= 0.01 * self.phi[0]).max(initial=0))

    @property
    def decay(self) -> float:
        """beta: slope of the mean log norm against the lag, in nats a step; from lag 20 on where there are 10 more.

        The log of the mean would be biased up (Jensen). Lags at which the gradient is exactly zero are left out;
        with fewer than two others it is -inf.
        """
        means = self.log_norms.mean(1)
        lags = np.arange(len(means))
        fit = np.isfinite(means) & (lags >= (FROM if len(means) > FROM + 10 else 1))
        if fit.sum() < 2:
            return -math.inf
        return float(np.polyfit(lags[fit], means[fit], 1)[0])

    @property
    def half_life(self) -> float:
        """ln 2 / -beta steps; inf where the gradient does not shrink."""
        return math.log(2) / -self.decay if self.decay < 0 else math.inf


def gradient_flow(model: RecurrentModel, loss: Loss, batch: Batch, max_lag: int, positions: int) -> Flow:
    """Measure the flow on one batch; parameters, their gradients and the random state stay as they are.

    The core is stepped one step at a time, so that every state on the way is a tensor autograd can be asked about
    (the outputs of a fused call are not on its recurrent path).

    Args:
        model: in training or evaluation mode; measured in evaluation mode.
        loss: taken at single positions.
        batch: sequences that are real up to every position used; shorter ones are left out.
        max_lag: K, if the sequences are that long.
        positions: how many positions s, evenly spaced over the last half of what K leaves, are pooled as samples.
    """
    length = batch.longest
    lags = min(max_lag, length - 1)
    places = np.unique(np.linspace(lags, length - 1, positions).round().astype(int))
    training = model.training
    model.eval()
    try:
        samples = [_log_norms(model, loss, batch, int(place), lags) for place in places]
    finally:
        model.train(training)
    return Flow(np.concatenate(samples, axis=1))


def _log_norms(model: RecurrentModel, loss: Loss, batch: Batch, place: int, lags: int) -> np.ndarray:
    """log norms at one position s = `place`, (lags + 1, samples); the sum of all samples' losses is differentiated."""
    states = _states(model, batch, place, lags)
    step = batch.between(place, place + 1)
    outputs = model.decode(states[-1][0][-1:])
    total = loss.total(outputs, step.targets, step.mask)
    gradients = torch.autograd.grad(total, [part for state in states for part in state], allow_unused=True)
    parts = len(states[0])
    squares = torch.stack(
        [
            sum(g.double().square().sum((0, 2)) for g in gradients[i : i + parts] if g is not None)
            for i in range(0, len(gradients), parts)
        ]
    )
    real = slice(None) if step.mask is None else step.mask[0]
    with np.errstate(divide="ignore"):
        return 0.5 * np.log(squares[:, real].flip(0).cpu().numpy())


def _states(model: RecurrentModel, batch: Batch, place: int, lags: int) -> list[State]:
    """The states after steps place - lags .. place, all on one graph."""
    with torch.no_grad():
        encoded = model.encode(batch.inputs[: place + 1])
        _, state = model.core(encoded[: place - lags + 1])
    states = [tuple(part.detach().requires_grad_() for part in state)]
    for t in range(place - lags + 1, place + 1):
        states.append(model.core(encoded[t : t + 1], states[-1])[1])
    return states
