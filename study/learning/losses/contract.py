"""The contract of every loss: its sum over a batch, how steps are combined over time, what its outputs predict.

Shapes: outputs are what the head gives, (time, batch, outputs): predictions yhat for regression, logits a for
classification (p = sigmoid a or softmax a), or what else a loss asks for. Targets are (time, batch, values) for
regression, classes (time, batch) for classification. A `mask` (time, batch) is True on real steps; padding adds
nothing, neither to the value nor to the gradient.

Most losses are a sum over steps: they state the loss of one step (`StepLoss`). One that is not, such as the likelihood
of a whole sequence, states its sum over a batch itself (`Loss`). What a loss learns, such as scores of transitions, it
gets from the head as outputs that are the same at every step (`constants`): they are parameters of the model, so that
optimizer, history, checkpoint and probes have them as they have all others.
"""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from study.learning.clipping.contract import norms

OverTime = Literal["mean", "sum"]
Scale = Literal["none", "initial"]


class Loss(nn.Module, ABC):
    """What is minimised, and its combination over time.

    Args:
        over_time: `mean`: sum over real steps / their number. `sum`: sum over real steps / batch size, the textbook's
            sum over time, whose gradient grows with the length (and with it what a clip threshold means).
        scale: `initial`: the gradient of every update, all of it, is divided by the norm of the first update's, before
            it is clipped: one threshold then means the same for every loss. `none`: it is used as it is.

    Attributes:
        units: what 1 in every target is in its own unit, (values,); None where it is 1, and for classes.
        initial_norm: what gradients are divided by; None before the first update, and where they are not divided.
    """

    units: Float[Tensor, " values"] | None

    def __init__(self, over_time: OverTime = "mean", scale: Scale = "none"):
        super().__init__()
        self.over_time, self.scale = over_time, scale
        self.register_buffer("units", None, persistent=False)
        self.initial_norm: Tensor | None = None

    @abstractmethod
    def total(
        self,
        outputs: Float[Tensor, "time batch outputs"],
        targets: Shaped[Tensor, "time batch *values"],
        mask: Bool[Tensor, "time batch"] | None,
    ) -> Float[Tensor, ""]:
        """Sum of the losses of all real steps, before the division by `normaliser`."""

    @abstractmethod
    def outputs(self, size: int) -> int:
        """How many outputs the head needs for targets of `size` values or classes.

        Raises:
            ConfigError: this loss cannot take targets of that size.
        """

    def constants(self, size: int) -> int:
        """How many further outputs it needs that are learnt and the same at every step; they come last."""
        return 0

    @abstractmethod
    def predict(
        self, outputs: Float[Tensor, "time batch outputs"], mask: Bool[Tensor, "time batch"] | None = None
    ) -> Float[Tensor, "time batch predictions"]:
        """What the task's metrics see, whatever the loss: yhat, or a probability for every class.

        Args:
            outputs: of whole sequences, or, of a loss that is a sum over steps, of any steps.
            mask: the real steps; None: all. What is predicted at the others does not matter.
        """

    def measures(
        self,
        outputs: Float[Tensor, "time batch outputs"],
        targets: Shaped[Tensor, "time batch *values"],
        mask: Bool[Tensor, "time batch"] | None,
    ) -> dict[str, Float[Tensor, ""]]:
        """Measures of its own, beside the task's, by name: sums over real steps, to be divided by their number."""
        return {}

    def normaliser(self, batch: int, steps: Tensor | int | float) -> Tensor | int | float:
        """The divisor of a sum of losses over `batch` sequences with `steps` real steps in all."""
        return steps if self.over_time == "mean" else batch

    @property
    def divisor(self) -> float:
        """What the gradient of the loss is divided by before it is used; NaN where the first update has to tell."""
        if self.scale == "none":
            return 1.0
        return float("nan") if self.initial_norm is None else float(self.initial_norm)

    def rescale(self, gradients: list[Tensor]) -> None:
        """Divide the gradients of an update, in place, as `scale` says.

        A first gradient that is zero, or not finite, divides nothing, neither itself nor those that follow.
        """
        if self.scale == "none":
            return
        if self.initial_norm is None:
            norm = torch.linalg.vector_norm(norms(gradients))
            self.initial_norm = torch.where(norm.isfinite() & (norm > 0), norm, 1.0)
        torch._foreach_div_(gradients, self.initial_norm.to(gradients[0].dtype))


class StepLoss(Loss):
    """A loss that is a sum over steps: a sequence can be cut into windows, whose losses add up to its own."""

    @abstractmethod
    def per_step(
        self, outputs: Float[Tensor, "time batch outputs"], targets: Shaped[Tensor, "time batch *values"]
    ) -> Float[Tensor, "time batch"]:
        """The loss at every step of every sequence; each depends on the outputs and targets of its own step only."""

    def total(
        self,
        outputs: Float[Tensor, "time batch outputs"],
        targets: Shaped[Tensor, "time batch *values"],
        mask: Bool[Tensor, "time batch"] | None,
    ) -> Float[Tensor, ""]:
        """See `Loss`."""
        return over_steps(self.per_step(outputs, targets), mask)


def over_steps(values: Shaped[Tensor, "time batch"], mask: Bool[Tensor, "time batch"] | None) -> Shaped[Tensor, ""]:
    """Sum of one value a step over the real steps."""
    return values.sum() if mask is None else torch.where(mask, values, 0.0).sum()
