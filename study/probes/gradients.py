"""Gradients of a batch, taken on a copy of the model: the training's own parameters and gradients are not touched."""

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from study.bptt import TruncatedBPTT
from study.models import RecurrentModel
from study.probes.path import evaluating
from study.tasks.contract import Batch


class Rehearsal:
    """A trainer like the one that trains, with copies of its model and optimizer, and without dropout.

    Args:
        bptt: what trains.
    """

    def __init__(self, bptt: TruncatedBPTT):
        model, optimizer = copy.deepcopy((bptt.model, bptt.optimizer))  # together: one keeps referring to the other
        self._trainer = TruncatedBPTT(model, bptt.loss, optimizer, bptt.clip, bptt.k1, bptt.k2, "sequence")
        self._truncation = bptt.k1, bptt.k2
        self._parameters = [p for p in model.parameters() if p.requires_grad]

    @property
    def model(self) -> RecurrentModel:
        """The copy."""
        return self._trainer.model

    @property
    def parameters(self) -> Float[Tensor, " parameters"]:
        """All trainable parameters of the copy, end to end."""
        return flat(self._parameters)

    def gradient(self, batch: Batch, k2: int | None) -> Float[Tensor, " parameters"]:
        """The gradient of a whole batch by blocks of `k2` steps (None: full BPTT), from a zero state on, end to end."""
        self._trainer.k1, self._trainer.k2 = None, k2
        self._trainer.optimizer.zero_grad(set_to_none=True)
        with evaluating(self.model):
            self._trainer.backward(batch)
        return flat([torch.zeros_like(p) if p.grad is None else p.grad for p in self._parameters])

    def step(self, batch: Batch) -> None:
        """Make one update on a whole batch, truncated and clipped as in training."""
        self._trainer.k1, self._trainer.k2 = self._truncation
        self._trainer.optimizer.zero_grad(set_to_none=True)
        with evaluating(self.model):
            for _ in self._trainer.updates(batch):
                pass


def flat(tensors: Sequence[Tensor]) -> Float[Tensor, " parameters"]:
    """All tensors end to end, in float64."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors]).double()


def columns(batch: Batch, start: int, stop: int) -> Batch:
    """Some of the sequences of a batch."""
    mask = None if batch.mask is None else batch.mask[:, start:stop]
    return Batch(batch.inputs[:, start:stop], batch.targets[:, start:stop], mask)
