"""Architectures: one a file, all with one contract (`study.models.contract`), named as in `conf/model`.

A core is built from plain values, `LSTM(features=8, hidden_size=64)`; `build` does it from a configuration.
"""

from study.models.contract import Activations, Core, Inputs, RecurrentBlock, RecurrentModel, State, detach
from study.schema.model import MODELS, CoreConfig

__all__ = ["Activations", "Core", "Inputs", "RecurrentBlock", "RecurrentModel", "State", "build", "detach"]


def build(config: CoreConfig, inputs: Inputs, outputs: int) -> RecurrentModel:
    """Build the model that a config names, its parameters drawn from torch's global generator."""
    core = MODELS.implementation(config.name)
    features = config.hidden_size if inputs.tokens else inputs.size
    values = config.model_dump(exclude={"name", "bidirectional"})
    cores = [core(features, **values) for _ in range(1 + config.bidirectional)]
    return RecurrentModel(inputs, cores[0], outputs, config.dropout, *cores[1:])
