"""`conf/optimizer`: how gradients move the parameters. Keys are the arguments of torch's classes, and `decay`."""

from typing import ClassVar, Literal

from pydantic import model_validator

from study.schema.base import Count, NotNegative, Positive, Share, Strict
from study.schema.registry import Registry

OPTIMIZERS = Registry("optimizer")


class OptimizerConfig(Strict):
    """What every optimizer has: a learning rate, and the decay of weights towards zero.

    `decay` says which parameters `weight_decay` acts on: `all`, or `matrices` alone, which leaves biases, gains and
    embeddings as the loss wants them.
    """

    of_the_groups: ClassVar[frozenset[str]] = frozenset({"name", "decay"})
    """Keys that say how parameters are grouped; all others are arguments of the optimizer."""
    hidden_apart: ClassVar[bool] = False
    """Whether the matrices inside of the recurrent core come to the optimizer as groups of their own."""
    name: str
    lr: Positive
    weight_decay: NotNegative
    decay: Literal["all", "matrices"]

    @classmethod
    def canonical(cls, values: dict[str, str]) -> dict[str, str]:
        """A decay of 0 is the same for whichever parameters."""
        if values.get("weight_decay") == "0.0":
            values = {key: value for key, value in values.items() if key != "decay"}
        return values


@OPTIMIZERS.member("torch.optim:SGD")
class SGDConfig(OptimizerConfig):
    """Stochastic gradient descent, heavy-ball momentum or Nesterov's (Sutskever et al. 2013)."""

    name: Literal["sgd"]
    momentum: Share
    nesterov: bool

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> "SGDConfig":
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov = True: it looks ahead along the momentum, and momentum is 0; allowed: false")
        return self


@OPTIMIZERS.member("torch.optim:RMSprop")
class RMSpropConfig(OptimizerConfig):
    """Gradients divided by the root of the running mean of their squares (Tieleman & Hinton 2012)."""

    name: Literal["rmsprop"]
    alpha: Share
    momentum: Share


@OPTIMIZERS.member("torch.optim:Adam")
class AdamConfig(OptimizerConfig):
    """Adam (Kingma & Ba 2015): nearly blind to the scale of the gradient, so to a clip threshold."""

    name: Literal["adam"]


@OPTIMIZERS.member("torch.optim:AdamW")
class AdamWConfig(OptimizerConfig):
    """Adam whose weight decay is not divided by the gradient's scale (Loshchilov & Hutter 2019, arXiv 1711.05101)."""

    name: Literal["adamw"]


@OPTIMIZERS.member("study.learning.optimizers.asgd:AveragedSGD")
class ASGDConfig(OptimizerConfig):
    """SGD; from update `t0` on the network is the mean of its weights (Polyak & Juditsky 1992)."""

    name: Literal["asgd"]
    t0: Count


@OPTIMIZERS.member("study.learning.optimizers.muon:MuonWithAdamW")
class MuonConfig(OptimizerConfig):
    """Orthogonal steps for the core's matrices (Jordan et al. 2024), AdamW for all other parameters."""

    hidden_apart: ClassVar[bool] = True
    name: Literal["muon"]
    momentum: Share
