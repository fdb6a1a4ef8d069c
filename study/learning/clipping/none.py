"""No clipping: gradients are used as they are."""

from jaxtyping import Float
from torch import Tensor

from study.learning.clipping.contract import Decision, NormClip


class NoClip(NormClip):
    """Only measures the norms."""

    clips = False

    def decide(self, norms: Float[Tensor, " parameters"], total: Float[Tensor, ""]) -> Decision:
        """See `NormClip`."""
        return Decision(total.new_ones(()))

    def multiply(self, gradients: list[Tensor], scale: Float[Tensor, "*parameters"]) -> None:
        """Nothing: to multiply by 1 takes time."""
