"""Optimizers: torch's own, and what torch has only in parts, one a file; the names are `conf/optimizer`."""

from torch.optim import Optimizer

from study.learning.optimizers.averages import averaged, take_averages
from study.learning.optimizers.groups import parameter_groups
from study.models import RecurrentModel
from study.schema.optimizer import OPTIMIZERS, OptimizerConfig

__all__ = ["averaged", "build", "parameter_groups", "take_averages"]


def build(config: OptimizerConfig, model: RecurrentModel) -> Optimizer:
    """The optimizer a config names, on the parameters of a model.

    Raises:
        ConfigError: the model has nothing that this optimizer is for.
    """
    groups = parameter_groups(model, config.decay, config.hidden_apart)
    options = config.model_dump(exclude=set(config.of_the_groups))
    optimizer: Optimizer = OPTIMIZERS.implementation(config.name)(groups, **options)
    return optimizer
