"""Gradients of a batch, beside the training: its own parameters and their gradients are not touched."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from study.learning.bptt import TruncatedBPTT, Window, windows
from study.learning.losses import Loss
from study.models import RecurrentModel, State
from study.models.stepping import evaluating
from study.probes.flow import entering
from study.tasks.contract import Batch


def gradient(
    model: RecurrentModel, loss: Loss, batch: Batch, k1: int | None = None, k2: int | None = None
) -> Float[Tensor, " parameters"]:
    """The gradient of a whole batch's loss by BPTT(k2; k1), as `TruncatedBPTT.backward` gives it, end to end.

    Windows do not depend on each other once the states they start from are known, so all run side by side as one
    batch.

    Args:
        model: differentiated without dropout.
        loss: normalised over the whole batch.
        batch: sequences from their initial state on.
        k1: steps between windows; None: k2.
        k2: steps the gradient flows back; None: all.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    with evaluating(model):
        stretch = _side_by_side(model, batch, windows(batch.longest, k1, k2))
        outputs, _ = model(stretch.steps.inputs, stretch.entry, stretch.steps.mask)
        total = loss.total(outputs, stretch.steps.targets, stretch.steps.mask)
        mean = total / loss.normaliser(batch.targets.shape[1], batch.steps)
        return flat(torch.autograd.grad(mean, parameters, allow_unused=True, materialize_grads=True))


class _Stretch(NamedTuple):
    """Steps to run, which of them count, and the states before the first."""

    steps: Batch
    entry: State


def _side_by_side(model: RecurrentModel, batch: Batch, plan: Sequence[Window]) -> _Stretch:
    """All windows as sequences of one batch; shorter ones end in steps that do not count."""
    first, stop = (torch.tensor([w[i] for w in plan])[:, None] for i in (1, 2))
    steps = torch.tensor([w.start for w in plan])[:, None] + torch.arange(max(w.stop - w.start for w in plan))
    counts = ((steps >= first) & (steps < stop)).T.to(batch.inputs.device)
    index = steps.clamp(max=batch.longest - 1).T.to(batch.inputs.device)
    inputs, targets = (part[index].flatten(1, 2) for part in (batch.inputs, batch.targets))
    wide = counts[..., None].expand(-1, -1, batch.targets.shape[1])
    mask = wide if batch.mask is None else wide & batch.mask[index]
    return _Stretch(Batch(inputs, targets, mask.flatten(1, 2)), _entry(model, batch, [w.start for w in plan]))


def _entry(model: RecurrentModel, batch: Batch, starts: Sequence[int]) -> State:
    """The states before some steps of a batch, side by side."""
    with torch.no_grad():
        encoded = model.encode(batch.inputs)
        states = entering(model, encoded, starts)
    # The initial state is not cut off: a core may learn it.
    whole = [state if start else model.core.initial_state(encoded) for state, start in zip(states, starts, strict=True)]
    return tuple(torch.cat(parts, 1) for parts in zip(*whole, strict=True))


class Rehearsal:
    """A trainer like the one given, with copies of its model and of all that moves it, and without dropout.

    Args:
        bptt: what trains.
    """

    def __init__(self, bptt: TruncatedBPTT):
        # Copied together, so that the optimizer's copy steps on the parameters of the model's copy; and the others too:
        # the policy and the loss may keep norms they have seen, and a regularizer counts.
        kept = copy.deepcopy((bptt.model, bptt.loss, bptt.optimizer, bptt.clip, bptt.regularizer))
        self._trainer = TruncatedBPTT(*kept[:4], bptt.k1, bptt.k2, "sequence")
        self._trainer.regularizer = kept[4]

    @property
    def parameters(self) -> Float[Tensor, " parameters"]:
        """All trainable parameters of the copy, end to end."""
        return flat([p for p in self._trainer.model.parameters() if p.requires_grad])

    def gradient(self, batch: Batch) -> Float[Tensor, " parameters"]:
        """The gradient of a whole batch by full BPTT."""
        return gradient(self._trainer.model, self._trainer.loss, batch)

    def step(self, batch: Batch) -> None:
        """Make one update on a whole batch, truncated and clipped as in training."""
        self._trainer.optimizer.zero_grad(set_to_none=True)
        with evaluating(self._trainer.model):
            for _ in self._trainer.updates(batch):
                pass


def flat(tensors: Sequence[Tensor]) -> Float[Tensor, " parameters"]:
    """All tensors end to end, in float64."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).double()


def columns(batch: Batch, start: int, stop: int) -> Batch:
    """Some of the sequences of a batch."""
    mask = None if batch.mask is None else batch.mask[:, start:stop]
    return Batch(batch.inputs[:, start:stop], batch.targets[:, start:stop], mask)
