"""`conf/loss`, `conf/bptt`, `conf/clip`, `conf/optimizer`: how the parameters are moved."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from study.schema.base import Count, Positive, Strict
from study.schema.task import Kind


class Loss(Strict):
    """A per-step loss and how its terms are combined over time."""

    fits: ClassVar[tuple[Kind, ...]]
    over_time: Literal["mean", "sum"]


class MSE(Loss):
    """Mean squared error: mean (y - yhat)^2."""

    fits: ClassVar[tuple[Kind, ...]] = ("regression",)
    name: Literal["mse"]


class BinaryCrossEntropy(Loss):
    """Two classes: -mean [y log p + (1 - y) log(1 - p)]."""

    fits: ClassVar[tuple[Kind, ...]] = ("binary",)
    name: Literal["binary_cross_entropy"]


class OneVsRest(Loss):
    """Binary cross-entropy summed over classes, each against the rest."""

    fits: ClassVar[tuple[Kind, ...]] = ("multiclass",)
    name: Literal["one_vs_rest"]


class CrossEntropy(Loss):
    """Multi-class cross-entropy: -mean sum_c y_c log p_c."""

    fits: ClassVar[tuple[Kind, ...]] = ("multiclass", "binary")
    name: Literal["cross_entropy"]


AnyLoss = Annotated[MSE | BinaryCrossEntropy | OneVsRest | CrossEntropy, Field(discriminator="name")]


class BPTT(Strict):
    """Truncation: gradients flow back `k2` steps (null: the whole sequence), an update every `k1` (null: k2)."""

    k2: Count | None
    k1: Count | None
    update: Literal["window", "sequence"]

    @model_validator(mode="after")
    def _every_step_is_within_reach(self) -> "BPTT":
        if self.k1 is not None and self.k2 is not None and self.k1 > self.k2:
            raise ValueError(f"k1={self.k1} must not exceed k2={self.k2}: steps in between would never be learnt from")
        return self


class NoClip(Strict):
    """Gradients are used as they are."""

    name: Literal["none"]


class ClipNorm(Strict):
    """g <- g min(1, threshold / ||g||), over all parameters together (Pascanu et al. 2013)."""

    name: Literal["norm"]
    threshold: Positive


class ClipValue(Strict):
    """Every component of the gradient clamped to [-threshold, threshold] (Mikolov 2012)."""

    name: Literal["value"]
    threshold: Positive


AnyClip = Annotated[NoClip | ClipNorm | ClipValue, Field(discriminator="name")]


class SGD(Strict):
    """Stochastic gradient descent, heavy-ball momentum."""

    name: Literal["sgd"]
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]


class Adam(Strict):
    """Adam (Kingma & Ba 2015): nearly blind to the scale of the gradient, so to a clip threshold."""

    name: Literal["adam"]
    lr: Positive
    weight_decay: Annotated[float, Field(ge=0)]


AnyOptimizer = Annotated[SGD | Adam, Field(discriminator="name")]
