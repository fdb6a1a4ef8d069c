"""The contract of every loss: its value at every step, and how steps are combined over time.

Shapes: outputs are what the head gives, (time, batch, outputs): predictions yhat for regression, logits a for
classification (p = sigmoid a or softmax a). Targets are (time, batch, values) for regression, classes (time, batch)
for classification. A `mask` (time, batch) is True on real steps; padding adds nothing, neither to the value nor to the
gradient.
"""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn


class Loss(nn.Module, ABC):
    """A per-step loss l_t(b) and its combination over time.

    Args:
        over_time: `mean`: sum over real steps / their number. `sum`: sum over real steps / batch size, the textbook's
            sum over time, whose gradient grows with the length (and with it what a clip threshold means).
    """

    def __init__(self, over_time: Literal["mean", "sum"] = "mean"):
        super().__init__()
        self.over_time = over_time

    @abstractmethod
    def per_step(
        self, outputs: Float[Tensor, "time batch outputs"], targets: Shaped[Tensor, "time batch *outputs"]
    ) -> Float[Tensor, "time batch"]:
        """The loss at every step of every sequence; each depends on the outputs and targets of its own step only."""

    @abstractmethod
    def outputs(self, size: int) -> int:
        """How many outputs the head needs for targets of `size` values or classes.

        Raises:
            ConfigError: this loss cannot take targets of that size.
        """

    @abstractmethod
    def predict(self, outputs: Float[Tensor, "time batch outputs"]) -> Float[Tensor, "time batch predictions"]:
        """What the task's metrics see, whatever the loss: yhat, or a probability for every class."""

    def normaliser(self, batch: int, steps: Tensor | int) -> Tensor | int:
        """The divisor of a sum of per-step losses over `batch` sequences with `steps` real steps in all."""
        return steps if self.over_time == "mean" else batch

    def total(
        self,
        outputs: Float[Tensor, "time batch outputs"],
        targets: Shaped[Tensor, "time batch *outputs"],
        mask: Bool[Tensor, "time batch"] | None,
    ) -> Float[Tensor, ""]:
        """Sum of the per-step losses over real steps, before the division by `normaliser`."""
        steps = self.per_step(outputs, targets)
        return steps.sum() if mask is None else torch.where(mask, steps, 0.0).sum()
