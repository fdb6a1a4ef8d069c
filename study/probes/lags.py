"""How far back the terms of one gradient flowed: what share of it each lag carries.

The gradient of BPTT is a sum over the steps s whose losses count and the steps t <= s at which the weights act,

    g = sum_s sum_t  d L_s / d x_t  d+ x_t / d theta        (x the whole state; d+: with x_{t-1} held fixed)

and G_k its part with s - t = k: the lag. The share of a lag is <G_k, g> / |g|^2; shares sum to 1, and one is negative
where its part pulls against the whole. (G_0 + .. + G_k is the gradient of BPTT with k1 = 1, k2 = k + 1.) The head, and
all that a loss reads without the core, are of lag 0.

No backward pass for every lag is needed: <G_k, g> is what a small step of the weights along g, made k steps before the
loss, changes of it. All steps of all sequences go on by one step at once, as one batch: u_t = d+ x_t / d theta g, then
v_t <- J_t v_{t-1}, J_t = d x_t / d x_{t-1}, and after k times the share is sum_s <d L / d x_s, v_s>. Both products come
from one backward pass through a single step, differentiated once more for every lag (Townsend's double vjp).

In float64, of the network without dropout. A lag is counted in steps of the core that was walked through, so it is
defined for losses of whole sequences too; of a bidirectional network each core goes back along its own way.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from study.learning.losses import Loss
from study.learning.regularizers import Passage
from study.models import Core, RecurrentModel, State
from study.models.network import reverse_sequences
from study.models.stepping import evaluating, flatten, step
from study.probes.gradients import flat

MOST = 256
"""Lags that are looked at one by one; what is left is what flowed further back."""


class LagShares(NamedTuple):
    """Of the gradient of some windows of a batch.

    Attributes:
        shares: of lag 0, 1, ..; NaN where the gradient is not finite, or zero.
        further: of all lags beyond.
        gradient: the whole that they are shares of, up to a factor: of the network without dropout.
    """

    shares: Float[Tensor, " lags"]
    further: float
    gradient: Float[Tensor, " parameters"]


def shares_by_lag(model: RecurrentModel, loss: Loss, passages: Sequence[Passage]) -> LagShares:
    """Take the gradient of some windows apart by lag.

    Args:
        model: neither it nor its gradients change.
        loss: the sum of those of all steps that count.
        passages: the windows; the gradient does not flow from one into another.
    """
    exact, loss = copy.deepcopy((model, loss))
    exact = exact.double().cpu()
    loss = loss.double().cpu()
    parameters = [p for p in exact.parameters() if p.requires_grad]
    exactly = [_exact(passage) for passage in passages]
    longest = min(MOST, max(len(passage.steps.targets) for passage in exactly))
    with evaluating(exact):
        gradient = torch.stack([_gradient(exact, loss, passage, parameters) for passage in exactly]).sum(0)
        along = gradient / gradient.norm()
        found = torch.zeros(longest, dtype=torch.float64)
        for passage in exactly:
            terms = list(_terms(exact, loss, passage, parameters, along, longest))
            found[: len(terms)] += torch.stack(terms)
    found /= gradient.norm()
    reached = longest >= max(len(passage.steps.targets) for passage in exactly)
    return LagShares(found, 0.0 if reached else float(1 - found.sum()), gradient)


def _exact(passage: Passage) -> Passage:
    """The same in float64."""
    steps = passage.steps.to("cpu").map(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)
    state = None if passage.state is None else tuple(part.detach().double().cpu() for part in passage.state)
    return Passage(steps, state, passage.first)


def _total(loss: Loss, outputs: Tensor, passage: Passage) -> Tensor:
    steps = passage.steps.between(passage.first, len(passage.steps.targets))
    return loss.total(outputs[passage.first :], steps.targets, steps.mask)


def _gradient(model: RecurrentModel, loss: Loss, passage: Passage, parameters: Sequence[Tensor]) -> Tensor:
    outputs, _ = model(passage.steps.inputs, passage.state, passage.steps.mask)
    total = _total(loss, outputs, passage)
    return flat(torch.autograd.grad(total, parameters, allow_unused=True, materialize_grads=True))


def _terms(
    model: RecurrentModel,
    loss: Loss,
    passage: Passage,
    parameters: Sequence[Tensor],
    along: Float[Tensor, " parameters"],
    most: int,
) -> Iterator[Float[Tensor, ""]]:
    """<G_k, along> of one window, for k = 0, 1, .. up to its length, or `most` of them."""
    mask = passage.steps.mask
    encoded = model.encode(passage.steps.inputs)
    ways = [_Way(model.core, encoded, passage.state)]
    if model.reverse is not None:
        ways.append(_Way(model.reverse, reverse_sequences(encoded, mask), None))
    read = [way.outputs.clone().requires_grad_() for way in ways]
    ahead = [reverse_sequences(outputs, mask) for outputs in read[1:]]
    total = _total(loss, model.decode(read[0], *ahead), passage)
    slopes = torch.autograd.grad(total, [*read, *parameters], allow_unused=True, materialize_grads=True)
    direct = flat(slopes[len(read) :]) @ along
    pieces = [
        piece.view_as(p) for piece, p in zip(along.split([p.numel() for p in parameters]), parameters, strict=True)
    ]
    by_way = [way.terms(slope, parameters, pieces) for way, slope in zip(ways, slopes, strict=False)]
    for lag, parts in zip(range(min(most, len(encoded))), zip(*by_way, strict=True), strict=False):
        yield torch.stack(parts).sum() + (0 if lag else direct)


class _Way:
    """The way of a core along a sequence: every step once more by itself, all of them beside each other.

    Args:
        core: that reads.
        encoded: what enters it, on the graph of what made it.
        state: before the first step; None: the initial one, which a core may learn.

    Attributes:
        outputs: what leaves the core at every step, (time, batch, hidden), cut off.
    """

    def __init__(self, core: Core, encoded: Float[Tensor, "time batch features"], state: State | None):
        self._core, self._shape = core, encoded.shape[:2]
        first = flatten(core.initial_state(encoded) if state is None else state)
        states = [[part.detach() for part in first]]
        with torch.no_grad():
            for entering in encoded:
                states.append(step(core, entering, states[-1]))
        self.outputs = torch.stack([after[-len(core.state_parts)] for after in states[1:]])
        later = [torch.stack(parts).flatten(0, 1) for parts in zip(*states[1:-1], strict=True)]
        entries = [torch.cat([part, *rest]) for part, *rest in zip(first, *([later] if later else []), strict=True)]
        self._entries = [part if part.requires_grad else part.requires_grad_() for part in entries]
        self._encoded = encoded.flatten(0, 1)

    def terms(
        self, slope: Float[Tensor, "time batch hidden"], parameters: Sequence[Tensor], along: Sequence[Tensor]
    ) -> Iterator[Float[Tensor, ""]]:
        """<d L / d x_s, what reaches it from k steps before> for k = 0, 1, .. without end.

        Args:
            slope: of the loss in `outputs`.
            parameters: that a small step is made of.
            along: the direction of that step.
        """
        after = step(self._core, self._encoded, self._entries)
        seeds = [torch.zeros_like(part, requires_grad=True) for part in after]
        back = torch.autograd.grad(
            after, [*parameters, *self._entries], seeds, create_graph=True, allow_unused=True, materialize_grads=True
        )
        top, flat_slope = -len(self._core.state_parts), slope.flatten(0, 1)
        moved = _forward(back[: len(parameters)], along, seeds)
        while True:
            yield (moved[top] * flat_slope).sum()
            moved = _forward(back[len(parameters) :], [self._next_step(part) for part in moved], seeds)

    def _next_step(self, part: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width"]:
        """What left every step enters the next; what entered the first stands still."""
        by_step = part.view(*self._shape, -1)
        return torch.cat([torch.zeros_like(by_step[:1]), by_step[:-1]]).flatten(0, 1)


def _forward(back: Sequence[Tensor], tangents: Sequence[Tensor], seeds: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """J v, from J^T w on its graph: the derivative in w of <J^T w, v>."""
    pairs = [(each, tangent) for each, tangent in zip(back, tangents, strict=True) if each.requires_grad]
    if not pairs:  # nothing of it depends on these
        return tuple(torch.zeros_like(seed) for seed in seeds)
    ends, given = zip(*pairs, strict=True)
    return torch.autograd.grad(ends, seeds, given, retain_graph=True, allow_unused=True, materialize_grads=True)
