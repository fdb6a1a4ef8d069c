"""Steps whose gradient is not finite are skipped: one bad batch is not the end of a run."""

import torch
from jaxtyping import Float
from torch import Tensor

from study.columns import SHARE
from study.learning.clipping.contract import Decision, NormClip


class SkipNonFinite(NormClip):
    """g <- 0 where any component of the gradient is NaN or inf; every other gradient is used as it is.

    An optimizer without memory then leaves the parameters where they are. One with momentum or averages (Adam) sees a
    gradient of 0: its averages decay, and it goes on along what they hold; weight decay acts. To leave all of it as it
    was would mean to look at the gradient first, and to wait for the device at every update.

    In the history the norm before is NaN or inf and the norm as applied 0, and the share recorded is 1. Such updates
    are not yet the end of the run, also where the loss is not finite. A network or a carried state that is broken makes
    every update so: after `patience` in a row, one more counts as divergence.

    Args:
        patience: updates in a row that may be skipped.
    """

    records = (SHARE,)

    def __init__(self, patience: int = 20):
        self._patience = patience

    @property
    def patience(self) -> int:
        """See `Clip`."""
        return self._patience

    def decide(self, norms: Float[Tensor, " parameters"], total: Float[Tensor, ""]) -> Decision:
        """See `NormClip`: the norm is not finite where a component is not."""
        finite = torch.isfinite(total).double()
        return Decision(finite, {SHARE: 1 - finite})

    def multiply(self, gradients: list[Tensor], scale: Float[Tensor, "*parameters"]) -> None:
        """See `NormClip`; 0 times NaN would be NaN."""
        for gradient in gradients:
            gradient.masked_fill_(scale == 0, 0.0)

    def left(
        self, norms: Float[Tensor, " parameters"], total: Float[Tensor, ""], scale: Float[Tensor, "*parameters"]
    ) -> Float[Tensor, ""]:
        """See `NormClip`."""
        return torch.where(scale == 0, 0.0, total)
