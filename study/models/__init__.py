"""Architectures: one a file, one contract (`study.models.contract`), the names of `conf/model`."""

from study.models.contract import Activations, Core, Inputs, RecurrentModel, State, detach
from study.schema.model import MODELS, CoreConfig

__all__ = ["Activations", "Core", "Inputs", "RecurrentModel", "State", "build", "detach"]


def build(config: CoreConfig, inputs: Inputs, outputs: int) -> RecurrentModel:
    """The model a config names, its parameters drawn from torch's global generator."""
    core = MODELS.implementation(config.name)
    features = config.hidden_size if inputs.tokens else inputs.size
    values = config.model_dump(exclude={"name", "bidirectional"})
    cores = [core(features, **values) for _ in range(1 + config.bidirectional)]
    return RecurrentModel(inputs, cores[0], outputs, config.dropout, *cores[1:])
