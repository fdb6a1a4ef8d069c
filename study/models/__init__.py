"""Architectures: one a file, all with one contract (`study.models.contract`), named as in `conf/model`.

A core is built from plain values, `LSTM(features=8, hidden_size=64)`; `build` does it from a configuration. A file
states a whole core, as torch's fused layers are, or one layer by its step (`study.models.cell`).
"""

from collections.abc import Callable
from typing import Any

from study.models.cell import Cell, layered
from study.models.contract import Activations, Core, Inputs, RecurrentBlock, RecurrentModel, State, detach
from study.schema.model import MODELS, CoreConfig

__all__ = [
    "Activations",
    "Cell",
    "Core",
    "Inputs",
    "RecurrentBlock",
    "RecurrentModel",
    "State",
    "build",
    "core_class",
    "detach",
]


def build(config: CoreConfig, inputs: Inputs, outputs: int) -> RecurrentModel:
    """Build the model that a config names, its parameters drawn from torch's global generator."""
    core = core_class(config.name)
    features = config.hidden_size if inputs.tokens else inputs.size
    values = config.model_dump(exclude=set(config.of_the_model))
    cores = [core(features, **values) for _ in range(1 + config.bidirectional)]
    return RecurrentModel(inputs, cores[0], outputs, config.dropout, *cores[1:])


def core_class(name: str) -> Callable[..., Core]:
    """What builds the core of a registered architecture from plain values: its class, or a function like it."""
    found: Any = MODELS.implementation(name)
    return layered(found) if isinstance(found, type) and issubclass(found, Cell) else found
