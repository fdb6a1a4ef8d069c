"""Clip policies: gradients in, what was done out. Nothing here waits for the device."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from study.schema.clip import CLIPS, ClipConfig

RANGE = (1e-18, 1e18)
"""Norms between these are exact in float32; beyond, the squares they are summed from leave its range."""


class Clipped(NamedTuple):
    """2-norms of the gradient, float64: of every parameter before clipping, in all before, in all as applied."""

    parameters: Float[Tensor, " parameters"]
    total: Float[Tensor, ""]
    applied: Float[Tensor, ""]


def norms(gradients: list[Tensor]) -> Float[Tensor, " parameters"]:
    """||g_i||_2 of every tensor, in one fused call; in a second one where float32 was too narrow.

    A GPU, which is not waited for, makes the wide one always; on a CPU that would cost 30 times as much.
    """
    if gradients[0].is_cpu:
        found = torch.stack(torch._foreach_norm(gradients))
        if all(RANGE[0] < norm < RANGE[1] for norm in found.tolist()):
            return found.double()
    return torch.stack(torch._foreach_norm(gradients, dtype=torch.float64))


class Clip(ABC):
    """A policy: changes gradients in place, says what it found and what it left."""

    @abstractmethod
    def __call__(self, gradients: list[Tensor]) -> Clipped:
        """Clip `gradients` in place. NaN and inf pass through into the norms."""


class NoClip(Clip):
    """Gradients are used as they are."""

    def __call__(self, gradients: list[Tensor]) -> Clipped:
        """See `Clip`."""
        parameters = norms(gradients)
        total = torch.linalg.vector_norm(parameters)
        return Clipped(parameters, total, total)


class ClipNorm(Clip):
    """g <- g min(1, threshold / ||g||): the direction stays (Pascanu, Mikolov & Bengio 2013, algorithm 1).

    A gradient within the threshold is multiplied by exactly 1: a threshold that never acts changes no bit.
    """

    def __init__(self, threshold: float):
        self.threshold = threshold

    def __call__(self, gradients: list[Tensor]) -> Clipped:
        """See `Clip`."""
        parameters = norms(gradients)
        total = torch.linalg.vector_norm(parameters)
        scale = (self.threshold / total).clamp(max=1.0)
        torch._foreach_mul_(gradients, scale.to(gradients[0].dtype))
        return Clipped(parameters, total, total * scale)


class ClipValue(Clip):
    """g_j <- min(max(g_j, -threshold), threshold): the direction turns (Mikolov 2012)."""

    def __init__(self, threshold: float):
        self.threshold = threshold

    def __call__(self, gradients: list[Tensor]) -> Clipped:
        """See `Clip`."""
        parameters = norms(gradients)
        torch._foreach_clamp_max_(gradients, self.threshold)
        torch._foreach_clamp_min_(gradients, -self.threshold)
        total = torch.linalg.vector_norm(parameters)
        return Clipped(parameters, total, torch.linalg.vector_norm(norms(gradients)))


def build(config: ClipConfig) -> Clip:
    """The policy a config names, with what else the config says."""
    return CLIPS.implementation(config.name)(**config.model_dump(exclude={"name"}))
