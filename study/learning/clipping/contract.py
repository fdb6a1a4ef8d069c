"""The contract of every clip policy: clip in place, return the norms before and after, keep its state.

A policy never waits for the device: it reads no tensor back (no `float(x)`, `x.item()`, `if x > y`). The tests that
every policy must pass are `study.testing.clips`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from study.errors import ConfigError

RANGE = (1e-18, 1e18)
"""Norms between these are exact in float32; beyond, the squares they are summed from leave its range."""


class Clipped(NamedTuple):
    """2-norms of the gradient, float64: of every parameter before clipping, of all before, of all as applied."""

    parameters: Float[Tensor, " parameters"]
    total: Float[Tensor, ""]
    applied: Float[Tensor, ""]


class Clip(ABC):
    """A gradient-clipping policy.

    Attributes:
        clips: whether it can change a gradient at all.
    """

    clips: ClassVar[bool] = True

    @property
    def norm_limit(self) -> float | None:
        """The norm that no applied gradient exceeds, drawn as a line among the norms; None: no constant limits it."""
        return None

    @abstractmethod
    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        """Clip one update's gradients in place.

        NaN and inf pass into the norms and raise nothing: a run that diverges is a result. A gradient left as it is
        keeps every bit, and then `applied` equals `total` exactly: the share of updates clipped is counted so.

        Args:
            gradients: of every trainable parameter, in their order; zeros where this update's loss does not reach one.
            parameters: the trainable parameters themselves, to be read only; no graph is recorded.
        """

    def state_dict(self) -> dict[str, Any]:
        """All that decides how it clips from here on, in tensors and plain values; a checkpoint keeps it."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore from a dict returned by `state_dict`, its tensors on the device that trains.

        Raises:
            ConfigError: the state is of another policy.
        """
        if state:
            raise ConfigError(f"the checkpoint has a state {sorted(state)} for {type(self).__name__}, which keeps none")


def norms(gradients: list[Tensor]) -> Float[Tensor, " parameters"]:
    """||g_i||_2 of every tensor, float64.

    One fused call in float32, and on a CPU a second one in float64 where float32 is too narrow for the squares. On a
    GPU always the wide one: to look at the first would be to wait for it. On a CPU the wide one costs 30 times as much.
    """
    if gradients[0].is_cpu:
        found = torch.stack(torch._foreach_norm(gradients))
        if all(RANGE[0] < norm < RANGE[1] for norm in found.tolist()):
            return found.double()
    return torch.stack(torch._foreach_norm(gradients, dtype=torch.float64))
