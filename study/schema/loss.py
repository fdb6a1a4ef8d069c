"""`conf/loss`: what is minimised."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from study.schema.base import NotNegative, Positive, Share, Strict
from study.schema.own import OwnFile
from study.schema.registry import Registry
from study.schema.task import Kind, TaskConfig

LOSSES = Registry("loss")


class LossConfig(Strict):
    """What is minimised and how its terms are combined over time: keys are the arguments of the loss.

    `scale`: `initial` divides every gradient by the norm of the first one, so that a clip threshold means the same for
    every loss.

    Attributes:
        fits: the kinds of targets it can take; a task of another kind is refused.
        whole: whether it is of a whole sequence, and no sum over steps: windows cut from one are refused.
    """

    fits: ClassVar[tuple[Kind, ...]]
    whole: ClassVar[bool] = False
    name: str
    over_time: Literal["mean", "sum"]
    scale: Literal["none", "initial"]

    def misfit(self, task: TaskConfig) -> str:
        """Why it cannot be used on a task; empty if it can."""
        return "" if task.kind in self.fits else f"{' or '.join(self.fits)} targets, this task's are {task.kind}"


class RegressionLossConfig(LossConfig):
    """A loss of real values."""

    fits: ClassVar[tuple[Kind, ...]] = ("regression",)


class ClassLossConfig(LossConfig):
    """A loss of classes, two of them or more."""

    fits: ClassVar[tuple[Kind, ...]] = ("multiclass", "binary")


@LOSSES.member("study.learning.losses.mse:MSE")
class MSEConfig(RegressionLossConfig):
    """Mean squared error: mean (y - yhat)^2."""

    name: Literal["mse"]


@LOSSES.member("study.learning.losses.mae:MAE")
class MAEConfig(RegressionLossConfig):
    """Mean absolute error: mean |y - yhat|."""

    name: Literal["mae"]


@LOSSES.member("study.learning.losses.huber:Huber")
class HuberConfig(RegressionLossConfig):
    """Squares of errors below `delta`, sizes of those above (Huber 1964)."""

    name: Literal["huber"]
    delta: Positive


@LOSSES.member("study.learning.losses.pinball:Pinball")
class PinballConfig(RegressionLossConfig):
    """Quantiles at several `levels`: mean max(q e, (q - 1) e) (Koenker & Bassett 1978)."""

    name: Literal["pinball"]
    levels: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]

    @field_validator("levels")
    @classmethod
    def _levels_ascend(cls, levels: list[float]) -> list[float]:
        if sorted(set(levels)) != levels:
            raise ValueError("levels must ascend, each above the one before")
        return levels


@LOSSES.member("study.learning.losses.gaussian_nll:GaussianNLL")
class GaussianNLLConfig(RegressionLossConfig):
    """A mean and a variance for every value: their negative log-likelihood (Nix & Weigend 1994)."""

    name: Literal["gaussian_nll"]


@LOSSES.member("study.learning.losses.qlike:QLIKE")
class QLIKEConfig(RegressionLossConfig):
    """sigma^2 / h - log(sigma^2 / h) - 1, of variances (Patton 2011)."""

    name: Literal["qlike"]

    def misfit(self, task: TaskConfig) -> str:
        """See `LossConfig`; it is of the ratio of two variances."""
        if why := super().misfit(task):
            return why
        if task.log_volatility:
            return ""
        return (
            "logarithms of volatilities as targets, for it is of the ratio of two variances, and a return, a price or "
            "a change may be zero or negative (task=forecasting_stocks task.target=log_volatility has such targets)"
        )


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
class CrossEntropyConfig(ClassLossConfig):
    """Multi-class cross-entropy: -mean sum_c q_c log p_c, a share `smoothing` of q spread over all classes."""

    name: Literal["cross_entropy"]
    smoothing: Share


@LOSSES.member("study.learning.losses.focal:Focal")
class FocalConfig(ClassLossConfig):
    """Cross-entropy times (1 - p)^gamma (Lin et al. 2017)."""

    name: Literal["focal"]
    gamma: NotNegative


@LOSSES.member("study.learning.losses.brier:Brier")
class BrierConfig(ClassLossConfig):
    """Squared error of the probabilities of all classes (Brier 1950)."""

    name: Literal["brier"]


@LOSSES.member("study.learning.losses.crf:LinearChainCRF")
class CRFConfig(ClassLossConfig):
    """The likelihood of a whole sequence of labels, transitions learnt (Lafferty et al. 2001; Lample et al. 2016)."""

    whole: ClassVar[bool] = True
    name: Literal["crf"]

    def misfit(self, task: TaskConfig) -> str:
        """See `LossConfig`; the labels of a sequence must be a chain that is known when it is predicted."""
        if why := super().misfit(task):
            return why
        if task.family != "labelling":
            return (
                "a sequence whose labels are all predicted together, from all that was read; this task's next tokens "
                "are predicted one after the other, each from those before it"
            )
        return "a label at every step, to be a chain; this task asks at the last step alone" if task.asks_once else ""


@LOSSES.member("study.learning.losses.own:own")
class OwnLossConfig(LossConfig, OwnFile):
    """The `StepLoss` in a file of the user's own; one that takes no kind of targets is refused when it is tried.

    One that does not take those of this task fails at its first update.
    """

    fits: ClassVar[tuple[Kind, ...]] = ("regression", "binary", "multiclass")
    name: Literal["own"]
