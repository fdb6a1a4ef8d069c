"""`conf/optimizer`: how gradients move the parameters. Keys are the arguments of torch's classes."""

from typing import Annotated, Literal

from pydantic import Field

from study.schema.base import Positive, Strict
from study.schema.registry import Registry

OPTIMIZERS = Registry("optimizer")


class OptimizerConfig(Strict):
    """What every optimizer has: a learning rate."""

    name: str
    lr: Positive


@OPTIMIZERS.member("torch.optim:SGD")
class SGDConfig(OptimizerConfig):
    """Stochastic gradient descent, heavy-ball momentum."""

    name: Literal["sgd"]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]


@OPTIMIZERS.member("torch.optim:Adam")
class AdamConfig(OptimizerConfig):
    """Adam (Kingma & Ba 2015): nearly blind to the scale of the gradient, so to a clip threshold."""

    name: Literal["adam"]
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
