"""Bias and variance of the gradients that a truncation makes, update by update, with the weights held fixed."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.learning.clipping import Clip, Clipped
from study.learning.clipping.none import NoClip
from study.probes.gradients import flat
from study.tasks.contract import Batch


class Listener(Clip):
    """Keeps the gradient of every update, and makes it zero: whatever the optimizer, nothing moves by plain SGD."""

    def __init__(self) -> None:
        self.heard: list[Tensor] = []

    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        """See `Clip`."""
        self.heard.append(flat(gradients))
        clipped = NoClip()(gradients, parameters)
        torch._foreach_zero_(gradients)
        return Clipped(clipped.parameters, clipped.total, torch.zeros_like(clipped.total))


class Spread(NamedTuple):
    """How the gradients u of updates lie around the exact gradient g, the mean over the same batches.

    Attributes:
        bias: || mean u - g || / || g ||.
        error: standard error of the bias, by the scatter between batches: a bias near it is none.
        variance: mean || u - mean u ||^2 / || g ||^2: what one update scatters, by its data and its cuts.
        updates: how many were looked at.
        reach: steps that gradients flowed back, at most, in the mean over updates; NaN where updates do not say.
    """

    bias: float
    error: float
    variance: float
    updates: int
    reach: float


def spread(bptt: TruncatedBPTT, batches: Sequence[Batch], exact: Float[Tensor, "batches parameters"]) -> Spread:
    """Train on batches without moving; compare.

    Args:
        bptt: with a `Listener` as its clip policy, and SGD.
        batches: sequences, each from its initial state on.
        exact: the full gradient of every batch's loss.
    """
    assert isinstance(bptt.clip, Listener)
    sums, numbers, heard, reaches = [], [], [], []
    for batch in batches:
        bptt.clip.heard.clear()
        reaches += [update.records.get("bptt/k2", math.nan) for update in bptt.updates(batch)]
        heard += bptt.clip.heard
        sums.append(torch.stack(bptt.clip.heard).sum(0))
        numbers.append(len(bptt.clip.heard))
    gradients, size, each = torch.stack(heard), exact.mean(0).norm(), len(heard) / len(batches)
    mean = gradients.mean(0)
    bias = (mean - exact.mean(0)).norm() / size
    variance = (gradients - mean).square().sum(1).mean() / size**2
    # Where the number of updates of a batch is random, their mean is a ratio of two sums that vary (delta method).
    off = (torch.stack(sums) - torch.tensor(numbers)[:, None] * mean) / each - (exact - exact.mean(0))
    error = off.var(0).sum().div(len(batches)).sqrt() / size
    return Spread(float(bias), float(error), float(variance), len(heard), math.fsum(reaches) / len(reaches))
