"""Architectures: one a file, all with one contract (`study.models.contract`), named as in `conf/model`.

A core is built from plain values, `LSTM(features=8, hidden_size=64)`; `build` does it from a configuration. A file
states a whole core, as torch's fused layers are, or one layer by its step (`study.models.cell`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from study.errors import ConfigError
from study.models.cell import Cell, layered
from study.models.contract import Activations, Core, Inputs, RecurrentBlock, State, detach
from study.models.network import RecurrentModel
from study.models.sizing import Size, refuse_larger_than_memory, units_for
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


def build(config: CoreConfig, inputs: Inputs, outputs: int, constants: int = 0) -> RecurrentModel:
    """Build the model that a config names, its parameters drawn from torch's global generator.

    `constants`: see `RecurrentModel`.

    Raises:
        ConfigError: the data leave no place for an option, or no size matches.
    """
    _refuse_unusable(config, inputs, outputs)
    units, make = config.hidden_size, partial(_build, config, inputs, outputs, constants)
    for key in Size._fields:
        if (wanted := getattr(config, f"match_{key}")) is not None:
            units = units_for(key, wanted, make)
    assert units is not None
    refuse_larger_than_memory(units, make)
    return make(units)


def _build(config: CoreConfig, inputs: Inputs, outputs: int, constants: int, units: int) -> RecurrentModel:
    core, features = core_class(config.name), units if inputs.tokens else inputs.size
    values = config.model_dump(exclude=set(config.of_the_model)) | {"hidden_size": units}
    cores = [core(features, **values) for _ in range(1 + config.bidirectional)]
    if config.residual and not cores[0].takes_residual:
        raise ConfigError("model.residual = True: the forward of this core adds nothing between its layers")
    for each in cores:
        each.residual, each.recurrent_dropout = config.residual, config.recurrent_dropout
    model = RecurrentModel(inputs, cores[0], outputs, config.dropout, *cores[1:], constants=constants)
    if config.tied:
        model.tie()
    return model


def _refuse_unusable(config: CoreConfig, inputs: Inputs, outputs: int) -> None:
    """Refuse options that the data leave no place for.

    Raises:
        ConfigError: naming the key, its value and what is needed.
    """
    if config.tied and not (inputs.tokens and inputs.size == outputs):
        enters = f"one of {inputs.size} tokens" if inputs.tokens else f"{inputs.size} real numbers"
        raise ConfigError(
            "model.tied = True: embedding and head share their weights where what enters is what is predicted, as in "
            f"language modelling with loss=cross_entropy; here {enters} enters, and the head has {outputs} outputs"
        )
    if config.residual and config.num_layers == 2 and not inputs.tokens and inputs.size != config.hidden_size:
        raise ConfigError(
            f"model.residual = True: {inputs.size} real numbers enter the first of 2 layers, and the sum needs the "
            f"width of what leaves it: allowed are model.hidden_size={inputs.size}, or model.num_layers of 3 or more"
        )


def core_class(name: str) -> Callable[..., Core]:
    """What builds the core of a registered architecture from plain values: its class, or a function like it."""
    found: Any = MODELS.implementation(name)
    return layered(found) if isinstance(found, type) and issubclass(found, Cell) else found
