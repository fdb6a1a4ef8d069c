"""ZClip: norms far above their running mean are pulled back to it (Kumar et al. 2025, arXiv 2504.02507)."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from study.columns import LIMIT
from study.learning.clipping.contract import Decision, NormClip, within


class ZClip(NormClip):
    """g <- g min(1, tau / ||g||) where z = (||g|| - mu) / sigma exceeds z*, with tau = mu + z* sigma (z* / z).

    The further out a norm lies, the nearer to the mean it is brought: tau = mu + (z* sigma)^2 / (||g|| - mu). mu and
    sigma are exponential moving averages of the norms as this rule leaves them,

        mu <- alpha mu + (1 - alpha) ||g||,    sigma^2 <- alpha sigma^2 + (1 - alpha) (||g|| - mu)^2  (the new mu),

    started with mean and variance of the first `warmup` norms. A fixed maximum holds always, in the warm-up too, and
    does not enter the averages. As the authors' code (bluorion-com/ZClip, `adaptive_scaling`), without the 1e-6 it adds
    to sigma and to the norm. Recorded: the limit in force, tau or the maximum.

    Args:
        alpha: what the averages keep in an update, between 0 and 1.
        z: z*, deviations above the mean from which on a norm is an outlier.
        maximum: largest norm in any update.
        warmup: updates measured first.
    """

    records = (LIMIT,)

    def __init__(self, alpha: float = 0.97, z: float = 2.5, maximum: float = 1.0, warmup: int = 25):
        self.alpha, self.z, self.maximum, self.warmup = alpha, z, maximum, warmup
        self._first: list[Tensor] = []
        self._mean = self._variance = torch.zeros((), dtype=torch.float64)

    @property
    def norm_limit(self) -> float:
        """The maximum."""
        return self.maximum

    def decide(self, norms: Float[Tensor, " parameters"], total: Float[Tensor, ""]) -> Decision:
        """See `NormClip`."""
        limit = torch.full_like(total, self.maximum)
        if len(self._first) < self.warmup:
            self._measure(total)
        else:
            above = total - self._mean
            reach = self.z * self._variance.sqrt()
            adapted = torch.where(above > reach, self._mean + reach.square() / above, total)
            limit = torch.where(above > reach, adapted.clamp(max=self.maximum), limit)
            self._move(adapted)
        return Decision(within(total, limit), {LIMIT: limit})

    def _measure(self, norm: Tensor) -> None:
        """Keep a norm of the warm-up; the last one starts the averages."""
        self._first.append(norm)
        if len(self._first) == self.warmup:
            self._variance, self._mean = torch.var_mean(torch.stack(self._first), correction=0)

    def _move(self, norm: Tensor) -> None:
        self._mean = self.alpha * self._mean + (1 - self.alpha) * norm
        self._variance = self.alpha * self._variance + (1 - self.alpha) * (norm - self._mean).square()

    def state_dict(self) -> dict[str, Any]:
        """See `Clip`."""
        return {"first": list(self._first), "mean": self._mean, "variance": self._variance}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Clip`."""
        self._first, self._mean, self._variance = list(state["first"]), state["mean"], state["variance"]
