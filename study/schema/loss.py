"""`conf/loss`: what is minimised."""

from typing import ClassVar, Literal

from study.schema.base import Strict
from study.schema.own import OwnFile
from study.schema.registry import Registry
from study.schema.task import Kind

LOSSES = Registry("loss")


class LossConfig(Strict):
    """A per-step loss and how its terms are combined over time: keys are the arguments of the loss.

    Attributes:
        fits: the kinds of targets it can take; a task of another kind is refused.
    """

    fits: ClassVar[tuple[Kind, ...]]
    name: str
    over_time: Literal["mean", "sum"]


@LOSSES.member("study.learning.losses.mse:MSE")
class MSEConfig(LossConfig):
    """Mean squared error: mean (y - yhat)^2."""

    fits: ClassVar[tuple[Kind, ...]] = ("regression",)
    name: Literal["mse"]


@LOSSES.member("study.learning.losses.binary_cross_entropy:BinaryCrossEntropy")
class BinaryCrossEntropyConfig(LossConfig):
    """Two classes: -mean [y log p + (1 - y) log(1 - p)]."""

    fits: ClassVar[tuple[Kind, ...]] = ("binary",)
    name: Literal["binary_cross_entropy"]


@LOSSES.member("study.learning.losses.one_vs_rest:OneVsRest")
class OneVsRestConfig(LossConfig):
    """Binary cross-entropy summed over classes, each against the rest."""

    fits: ClassVar[tuple[Kind, ...]] = ("multiclass",)
    name: Literal["one_vs_rest"]


@LOSSES.member("study.learning.losses.cross_entropy:CrossEntropy")
class CrossEntropyConfig(LossConfig):
    """Multi-class cross-entropy: -mean sum_c y_c log p_c."""

    fits: ClassVar[tuple[Kind, ...]] = ("multiclass", "binary")
    name: Literal["cross_entropy"]


@LOSSES.member("study.learning.losses.own:own")
class OwnLossConfig(LossConfig, OwnFile):
    """The `Loss` in a file of the user's own; which targets it takes shows when it is tried on some of each kind."""

    fits: ClassVar[tuple[Kind, ...]] = ("regression", "binary", "multiclass")
    name: Literal["own"]
