"""AutoClip: the threshold is a percentile of all norms so far (Seetharaman et al. 2020, arXiv 2007.14469)."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from study.columns import LIMIT
from study.learning.clipping.contract import Decision, NormClip, within
from study.learning.clipping.ranked import Ranked


class AutoClip(NormClip):
    """g <- g min(1, tau / ||g||), tau the p-th percentile of the norms of all updates so far, this one's among them.

    By construction a limiter of steps at a small p: about 100 - p of 100 updates are clipped while norms neither fall
    nor rise. All norms are kept, 8 bytes each, in the checkpoint too. Recorded: tau.

    Args:
        percentile: p, between 0 and 100; the paper's is 10.
    """

    records = (LIMIT,)

    def __init__(self, percentile: float = 10.0):
        self.percentile = percentile
        self._seen = Ranked()

    def decide(self, norms: Float[Tensor, " parameters"], total: Float[Tensor, ""]) -> Decision:
        """See `NormClip`."""
        self._seen.add(total)
        limit = self._seen.percentile(self.percentile)
        return Decision(within(total, limit), {LIMIT: limit})

    def state_dict(self) -> dict[str, Any]:
        """See `Clip`."""
        return {"seen": self._seen.numbers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `Clip`."""
        self._seen = Ranked(state["seen"])
