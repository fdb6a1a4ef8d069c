"""Multi-class cross-entropy: l = -sum_c y_c log p_c, p = softmax of the logits."""

from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F

from study.learning.losses.contract import Loss


class CrossEntropy(Loss):
    """l = -sum_c y_c log p_c, p = softmax of the logits."""

    def per_step(self, outputs: Tensor, targets: Int[Tensor, "time batch"]) -> Tensor:
        """See `Loss`."""
        flat = F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
        return flat.view(targets.shape)

    def outputs(self, size: int) -> int:
        """One logit a class."""
        return size

    def predict(self, outputs: Tensor) -> Tensor:
        """The softmax."""
        return outputs.softmax(-1)
