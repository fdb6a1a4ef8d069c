"""Clipping at a percentile of the first norms: the threshold is set on the scale of what is measured, then fixed."""

import math
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from study.columns import LIMIT
from study.learning.clipping.contract import Decision, NormClip, within
from study.learning.clipping.ranked import Ranked


class ClipPercentile(NormClip):
    """g <- g min(1, tau / ||g||), tau the p-th percentile of the norms of the first `warmup` updates.

    Those are not clipped. So one p means the same for losses and networks whose gradients differ in scale; the
    threshold is then a constant, as in `ClipNorm`. It guards against later norms above those of the start, and does
    nothing in a run whose norms fall from there on. Recorded: tau, NaN during the warm-up.

    Args:
        percentile: p, between 0 and 100.
        warmup: updates measured first.
    """

    records = (LIMIT,)

    def __init__(self, percentile: float = 90.0, warmup: int = 100):
        self.percentile, self.warmup = percentile, warmup
        self._seen = Ranked()

    def decide(self, norms: Float[Tensor, " parameters"], total: Float[Tensor, ""]) -> Decision:
        """See `NormClip`."""
        if len(self._seen) < self.warmup:
            self._seen.add(total)
            return Decision(total.new_ones(()), {LIMIT: total.new_full((), math.nan)})
        limit = self._seen.percentile(self.percentile)
        return Decision(within(total, limit), {LIMIT: limit})

    def state_dict(self) -> dict[str, Any]:
        """See `Clip`."""
        return {"seen": self._seen.numbers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Clip`."""
        self._seen = Ranked(state["seen"])
