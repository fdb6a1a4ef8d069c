"""Clipping of every parameter's gradient by its own norm: one that is too long shortens no other."""

from jaxtyping import Float
from torch import Tensor

from study.columns import SHARE
from study.learning.clipping.contract import Decision, NormClip, share, within


class ClipPerParameter(NormClip):
    """g_i <- g_i min(1, threshold / ||g_i||), every parameter (matrix, bias) by itself, so the direction turns.

    The step of a matrix that explodes is cut; with the norm of all (`ClipNorm`) those of all other parameters would
    shrink with it. torch's `clip_grad_norm_` on one parameter at a time. Recorded: the share of parameters clipped.

    Args:
        threshold: largest norm of one parameter's gradient, above 0.
    """

    records = (SHARE,)

    def __init__(self, threshold: float = 1.0):
        self.threshold = threshold

    def decide(self, norms: Float[Tensor, " parameters"], total: Float[Tensor, ""]) -> Decision:
        """See `NormClip`."""
        scale = within(norms, self.threshold)
        return Decision(scale, {SHARE: share(scale)})
