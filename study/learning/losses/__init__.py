"""Losses: what is minimised, one a file.

The contract is `study.learning.losses.contract`, the names are `conf/loss`.
"""

from study.learning.losses.contract import Loss
from study.schema.loss import LOSSES, LossConfig

__all__ = ["Loss", "build"]


def build(config: LossConfig) -> Loss:
    """The loss a config names; its other keys are the arguments of the constructor."""
    loss: Loss = LOSSES.implementation(config.name)(**config.model_dump(exclude={"name"}))
    return loss
