"""Losses: what is minimised, one a file.

The contract is `study.learning.losses.contract`, the names are `conf/loss`; `docs/losses.md` says when to pick which.
"""

from torch import Tensor

from study.learning.losses.contract import Loss, StepLoss
from study.schema.loss import LOSSES, LossConfig

__all__ = ["Loss", "StepLoss", "build"]


def build(config: LossConfig, units: Tensor | None = None) -> Loss:
    """The loss a config names; its other keys are the arguments of the constructor.

    Args:
        config: checked.
        units: what 1 in every target is in its own unit, see `study.tasks.contract.Task.units`.
    """
    loss: Loss = LOSSES.implementation(config.name)(**config.model_dump(exclude={"name"}))
    loss.units = units
    return loss
