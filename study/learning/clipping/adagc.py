"""AdaGC: every tensor is held near a running mean of its own clipped norms (Wang et al. 2025, arXiv 2502.11034)."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from study.columns import SHARE
from study.learning.clipping.contract import Decision, NormClip, share, within


class AdaGC(NormClip):
    """g_i <- g_i min(1, relative gamma_i / ||g_i||), tensor by tensor, gamma_i an average of what was let through.

        gamma_i <- beta gamma_i + (1 - beta) ||g_i as clipped||

    In the first `warmup` updates the gradient is clipped by its whole norm to `absolute`, and gamma_i is the smallest
    norm of tensor i so far (algorithm 1). After that a limit can grow by (1 - beta) (relative - 1) an update at most, a
    thousandth with the paper's numbers: norms that rise faster are cut in every update. Departure: a norm of exactly 0
    is left out of gamma_i, for a tensor that a loss did not reach once would be held at 0 for ever. Recorded: the share
    of tensors clipped.

    Args:
        relative: lambda_rel, above 1: how far above its average a norm may be.
        absolute: lambda_abs, the norm limit of the warm-up.
        beta: what the average keeps in an update, between 0 and 1.
        warmup: updates until then.
    """

    records = (SHARE,)

    def __init__(self, relative: float = 1.05, absolute: float = 1.0, beta: float = 0.98, warmup: int = 100):
        self.relative, self.absolute, self.beta, self.warmup = relative, absolute, beta, warmup
        self._updates = 0
        self._usual = torch.full((), math.inf, dtype=torch.float64)  # gamma; inf: no norm above 0 yet

    def decide(self, norms: Float[Tensor, " parameters"], total: Float[Tensor, ""]) -> Decision:
        """See `NormClip`."""
        warm = self._updates < self.warmup
        scale = within(total, self.absolute).expand_as(norms) if warm else within(norms, self.relative * self._usual)
        self._follow(norms * scale, warm)
        return Decision(scale, {SHARE: share(scale)})

    def _follow(self, clipped: Float[Tensor, " parameters"], warm: bool) -> None:
        """Move gamma on."""
        kept = self.beta * self._usual + (1 - self.beta) * clipped
        moved = torch.minimum(self._usual, clipped) if warm else torch.where(self._usual.isinf(), clipped, kept)
        self._usual = torch.where(clipped == 0, self._usual, moved)
        self._updates += 1

    def state_dict(self) -> dict[str, Any]:
        """See `Clip`."""
        return {"updates": self._updates, "usual": self._usual}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Clip`."""
        self._updates, self._usual = state["updates"], state["usual"]
