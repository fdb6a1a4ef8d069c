"""Clipping by the global norm: the direction stays (Pascanu, Mikolov & Bengio 2013, algorithm 1)."""

from jaxtyping import Float
from torch import Tensor

from study.learning.clipping.contract import Decision, NormClip


class ClipNorm(NormClip):
    """g <- g min(1, threshold / ||g||), over all parameters together.

    A gradient within the threshold is multiplied by exactly 1, which changes no bit of it. (torch's own
    `clip_grad_norm_` adds 1e-6 to the norm.) Of a norm of inf, finite components become 0 and the others NaN; of NaN,
    all become NaN.

    Args:
        threshold: largest norm, above 0.
    """

    def __init__(self, threshold: float):
        self.threshold = threshold

    @property
    def norm_limit(self) -> float:
        """The threshold."""
        return self.threshold

    def decide(self, norms: Float[Tensor, " parameters"], total: Float[Tensor, ""]) -> Decision:
        """See `NormClip`."""
        return Decision((self.threshold / total).clamp(max=1.0))
