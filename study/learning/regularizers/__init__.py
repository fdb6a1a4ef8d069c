"""Regularizers: cures for vanishing gradients that add a penalty to the loss, one a file.

The contract is `study.learning.regularizers.contract`, the names are `conf/regularizer`.
"""

from study.learning.regularizers.contract import PENALTY, Passage, Regularizer
from study.schema.regularizer import REGULARIZERS, RegularizerConfig

__all__ = ["PENALTY", "Passage", "Regularizer", "build"]


def build(config: RegularizerConfig) -> Regularizer:
    """The regularizer a config names; its other keys are the arguments of the constructor."""
    regularizer: Regularizer = REGULARIZERS.implementation(config.name)(**config.model_dump(exclude={"name"}))
    return regularizer
