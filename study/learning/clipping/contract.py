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
from study.models.unrolled import Watch

RANGE = (1e-18, 1e18)
"""Norms between these are exact in float32; beyond, the squares they are summed from leave its range."""


class Clipped(NamedTuple):
    """2-norms of the gradient, float64: of every parameter before clipping, of all before, of all as applied.

    `records` has a policy's further numbers, by the names in its own `records`.
    """

    parameters: Float[Tensor, " parameters"]
    total: Float[Tensor, ""]
    applied: Float[Tensor, ""]
    records: Mapping[str, Float[Tensor, ""]] = {}


class Clip(ABC):
    """A gradient-clipping policy.

    Attributes:
        clips: whether it can change a gradient at all.
        records: names of the numbers it adds to the history of every update, as columns `clip/...`; those that
            others read are `LIMIT` and `SHARE`. A policy that looks at parts of the gradient by themselves, or changes
            it before its norm can be taken, records the share.
    """

    clips: ClassVar[bool] = True
    records: ClassVar[tuple[str, ...]] = ()

    @property
    def norm_limit(self) -> float | None:
        """The norm that no applied gradient exceeds, drawn as a line among the norms; None: no constant limits it."""
        return None

    @property
    def watch(self) -> Watch | None:
        """Sees every state of the network while it trains, see `study.models.unrolled`; None: it need not."""
        return None

    @property
    def patience(self) -> int:
        """How many updates in a row may have a loss or a gradient that is not finite; at one more the run diverged."""
        return 0

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


class Decision(NamedTuple):
    """What gradients are multiplied with, at most 1: one number for all together, or one each; and what is recorded."""

    scale: Float[Tensor, "*parameters"]
    records: Mapping[str, Float[Tensor, ""]] = {}


class NormClip(Clip):
    """A policy that decides by the norms alone, which every history has: so it can be asked about a run afterwards."""

    @abstractmethod
    def decide(self, norms: Float[Tensor, " parameters"], total: Float[Tensor, ""]) -> Decision:
        """What to do with the next update; where a policy keeps a state, it moves on.

        Args:
            norms: of every parameter's gradient before clipping, float64.
            total: of all together.
        """

    def multiply(self, gradients: list[Tensor], scale: Float[Tensor, "*parameters"]) -> None:
        """Multiply gradients with what was decided, in place."""
        factors = scale.to(gradients[0].dtype)
        if scale.ndim == 0:
            torch._foreach_mul_(gradients, factors)
        else:
            torch._foreach_mul_(gradients, list(factors.unbind()))

    def left(
        self, norms: Float[Tensor, " parameters"], total: Float[Tensor, ""], scale: Float[Tensor, "*parameters"]
    ) -> Float[Tensor, ""]:
        """The norm of all gradients after that."""
        return total * scale if scale.ndim == 0 else torch.linalg.vector_norm(norms * scale)

    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        """See `Clip`."""
        before = norms(gradients)
        total = torch.linalg.vector_norm(before)
        scale, records = self.decide(before, total)
        self.multiply(gradients, scale)
        return Clipped(before, total, self.left(before, total, scale), records)


def within(norm: Tensor, limit: Tensor | float) -> Tensor:
    """What to multiply something of this norm with to keep it within a limit: exactly 1 where it is; NaN limits none.

    A norm of NaN gives 1, of inf 0.
    """
    return torch.where(norm > limit, limit / norm, 1.0)


def share(scale: Float[Tensor, "*parts"]) -> Float[Tensor, ""]:
    """The share of the parts that are multiplied with less than 1."""
    return (scale < 1).double().mean()


def norms(gradients: list[Tensor]) -> Float[Tensor, " parameters"]:
    """||g_i||_2 of every tensor, float64.

    One fused call in float32, and on a CPU a second one in float64 where float32 is too narrow for the squares. On a
    GPU always the wide one: to look at the first would be to wait for it. On a CPU the wide one costs 30 times as much.
    Gradients in half precision have their norms in float64 at once.
    """
    if gradients[0].is_cpu and gradients[0].dtype.itemsize >= torch.float32.itemsize:
        found = torch.stack(torch._foreach_norm(gradients))
        if all(RANGE[0] < norm < RANGE[1] for norm in found.tolist()):
            return found.double()
    return torch.stack(torch._foreach_norm(gradients, dtype=torch.float64))
