"""What is minimised: a loss at every step, combined over time.

Outputs are what the head gives: predictions yhat for regression, logits a for classification (p = sigmoid a or
softmax a). A `mask` marks real steps: padding never counts, neither in the value nor in the gradient.
"""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from study.errors import ConfigError
from study.schema.loss import LOSSES, LossConfig


class Loss(nn.Module, ABC):
    """A per-step loss l_t(b) and its combination over time.

    `mean`: sum over real steps / their number. `sum`: sum over real steps / batch size, the textbook's sum over time,
    whose gradient grows with the length (and so what a clip threshold means).
    """

    def __init__(self, over_time: Literal["mean", "sum"] = "mean"):
        super().__init__()
        self.over_time = over_time

    @abstractmethod
    def per_step(
        self, outputs: Float[Tensor, "time batch outputs"], targets: Shaped[Tensor, "time batch *outputs"]
    ) -> Float[Tensor, "time batch"]:
        """The loss at every step of every sequence."""

    @abstractmethod
    def outputs(self, size: int) -> int:
        """How many outputs the head needs for targets of `size` values or classes."""

    @abstractmethod
    def predict(self, outputs: Float[Tensor, "time batch outputs"]) -> Float[Tensor, "time batch predictions"]:
        """What measures look at, whatever the loss: yhat, or a probability for every class."""

    def normaliser(self, batch: int, steps: Tensor | int) -> Tensor | int:
        """What the sum of the per-step losses is divided by: `steps` real steps in all, `batch` sequences."""
        return steps if self.over_time == "mean" else batch

    def total(
        self,
        outputs: Float[Tensor, "time batch outputs"],
        targets: Shaped[Tensor, "time batch *outputs"],
        mask: Bool[Tensor, "time batch"] | None,
    ) -> Float[Tensor, ""]:
        """Sum of the per-step losses over real steps, not yet divided."""
        steps = self.per_step(outputs, targets)
        return steps.sum() if mask is None else torch.where(mask, steps, 0.0).sum()


class MSE(Loss):
    """Mean squared error: l = mean_j (y_j - yhat_j)^2."""

    def per_step(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """See `Loss`; the mean over outputs."""
        return (outputs - targets).square().mean(-1)

    def outputs(self, size: int) -> int:
        """One a value."""
        return size

    def predict(self, outputs: Tensor) -> Tensor:
        """The outputs are the predictions."""
        return outputs


class BinaryCrossEntropy(Loss):
    """Two classes y in {0, 1}, one logit: l = -[y log p + (1 - y) log(1 - p)]."""

    def per_step(self, outputs: Float[Tensor, "time batch 1"], targets: Int[Tensor, "time batch"]) -> Tensor:
        """See `Loss`."""
        return F.binary_cross_entropy_with_logits(outputs[..., 0], targets.to(outputs.dtype), reduction="none")

    def outputs(self, size: int) -> int:
        """One logit for both classes."""
        if size != 2:
            raise ConfigError(f"loss.name = 'binary_cross_entropy': it needs 2 classes, the data have {size}")
        return 1

    def predict(self, outputs: Tensor) -> Tensor:
        """(1 - p, p)."""
        p = outputs.sigmoid()
        return torch.cat([1 - p, p], -1)


class OneVsRest(Loss):
    """Binary cross-entropy of every class against the rest: l = -sum_c [y_c log p_c + (1 - y_c) log(1 - p_c)]."""

    def per_step(self, outputs: Tensor, targets: Int[Tensor, "time batch"]) -> Tensor:
        """See `Loss`."""
        one_hot = F.one_hot(targets, outputs.shape[-1]).to(outputs.dtype)
        return F.binary_cross_entropy_with_logits(outputs, one_hot, reduction="none").sum(-1)

    def outputs(self, size: int) -> int:
        """One logit a class."""
        return size

    def predict(self, outputs: Tensor) -> Tensor:
        """The classes' own probabilities, normalised to sum to one."""
        return F.normalize(outputs.sigmoid(), p=1, dim=-1)


class CrossEntropy(Loss):
    """Multi-class cross-entropy: l = -sum_c y_c log p_c, p = softmax of the logits."""

    def per_step(self, outputs: Tensor, targets: Int[Tensor, "time batch"]) -> Tensor:
        """See `Loss`."""
        flat = F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
        return flat.view(targets.shape)

    def outputs(self, size: int) -> int:
        """One logit a class."""
        return size

    def predict(self, outputs: Tensor) -> Tensor:
        """Softmax."""
        return outputs.softmax(-1)


def build(config: LossConfig) -> Loss:
    """The loss a config names, with what else the config says."""
    return LOSSES.implementation(config.name)(**config.model_dump(exclude={"name"}))
