r"""Gradient by time: || d L / d x_t^l || for the training loss itself, at every step: what BPTT really sends back.

L is the loss of the batch, combined over time as in training; x^l the state of layer l; norms are by sequence.
By the chain rule of BPTT, delta_t = J_{t+1}^T delta_{t+1} + the loss's own gradient at t: a sum over all later losses.

Activations: loss per unit of state.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from study.learning.bptt import TruncatedBPTT
from study.learning.losses import Loss
from study.models import RecurrentModel
from study.models.stepping import evaluating
from study.probes.path import backpropagate, unroll
from study.probes.result import ProbeResult
from study.tasks.contract import Batch


@dataclass(frozen=True)
class Backpropagated(ProbeResult):
    """Norms by step, layer, part of the state and sequence.

    Attributes:
        log_norms: in nats; -inf on padding, where the gradient is exactly zero.
    """

    log_norms: Float[np.ndarray, "time layers parts sequences"]

    @property
    def mean(self) -> Float[np.ndarray, "time layers"]:
        """The log of the mean norm over sequences, the parts of the state together; NaN and inf are kept."""
        with np.errstate(invalid="ignore"):
            joint = 0.5 * np.logaddexp.reduce(2 * self.log_norms, axis=2)
            return np.logaddexp.reduce(joint, axis=2) - np.log(joint.shape[2])

    @classmethod
    def measure(cls, plan: bool, bptt: TruncatedBPTT, batch: Batch) -> "Backpropagated":
        """See `ProbeResult`."""
        return backpropagated(bptt.model, bptt.loss, batch)

    def scalars(self) -> dict[str, float]:
        """See `ProbeResult`; there are none: this is a profile over time."""
        return {}

    def columns(self) -> dict[str, Any]:
        """See `ProbeResult`; a row for every step of every layer: the log of the mean norm over sequences."""
        time, layers = self.mean.shape
        return {
            "layer": np.repeat(np.arange(layers), time),
            "step": np.tile(np.arange(1, time + 1), layers),
            "log_norm": self.mean.T.flatten(),
        }


def backpropagated(model: RecurrentModel, loss: Loss, batch: Batch) -> Backpropagated:
    """Full BPTT of a batch's loss, without dropout, from the initial state on."""
    with evaluating(model):
        with torch.no_grad():
            encoded = model.encode(batch.inputs)
            hidden, _ = model.core(encoded)
            ahead = model.ahead(encoded, batch.mask)
        hidden.requires_grad_()
        total = loss.total(model.decode(hidden, ahead), batch.targets, batch.mask)
        (own,) = torch.autograd.grad(total / loss.normaliser(batch.targets.shape[1], batch.steps), hidden)
        log_norms = backpropagate(unroll(model.core, encoded, model.core.initial_state(encoded)), own)
    shape = len(encoded), model.core.num_layers, len(model.core.state_parts), encoded.shape[1]
    return Backpropagated(log_norms.view(shape).cpu().numpy())
