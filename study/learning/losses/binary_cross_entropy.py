"""Binary cross-entropy of two classes y in {0, 1} from one logit: l = -[y log p + (1 - y) log(1 - p)]."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from study.errors import ConfigError
from study.learning.losses.contract import StepLoss


class BinaryCrossEntropy(StepLoss):
    """l = -[y log p + (1 - y) log(1 - p)], p = sigmoid of the one logit; computed from the logit, so never log 0."""

    def per_step(self, outputs: Float[Tensor, "time batch 1"], targets: Int[Tensor, "time batch"]) -> Tensor:
        """See `StepLoss`."""
        return F.binary_cross_entropy_with_logits(outputs[..., 0], targets.to(outputs.dtype), reduction="none")

    def outputs(self, size: int) -> int:
        """One logit for both classes.

        Raises:
            ConfigError: there are more or fewer than two classes.
        """
        if size != 2:
            raise ConfigError(f"loss.name = 'binary_cross_entropy': it needs 2 classes, the data have {size}")
        return 1

    def predict(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """(1 - p, p)."""
        p = outputs.sigmoid()
        return torch.cat([1 - p, p], -1)
