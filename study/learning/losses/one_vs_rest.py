"""One-vs-rest: binary cross-entropy of every class, summed: l = -sum_c [y_c log p_c + (1 - y_c) log(1 - p_c)]."""

from jaxtyping import Int
from torch import Tensor
from torch.nn import functional as F

from study.learning.losses.contract import StepLoss


class OneVsRest(StepLoss):
    """l = -sum_c [y_c log p_c + (1 - y_c) log(1 - p_c)], p_c = sigmoid of the logit of class c."""

    def per_step(self, outputs: Tensor, targets: Int[Tensor, "time batch"]) -> Tensor:
        """See `StepLoss`."""
        one_hot = F.one_hot(targets, outputs.shape[-1]).to(outputs.dtype)
        return F.binary_cross_entropy_with_logits(outputs, one_hot, reduction="none").sum(-1)

    def outputs(self, size: int) -> int:
        """One logit a class."""
        return size

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The p_c of all classes, normalised to sum to one."""
        return F.normalize(outputs.sigmoid(), p=1, dim=-1)
