"""Small networks and data that several probes are tested on."""

from typing import Any

import torch
from pydantic import TypeAdapter

from study import models
from study.models import Inputs, RecurrentModel
from study.schema import model
from study.tasks.contract import Batch


def batch(time: int, width: int, features: int, dtype: torch.dtype = torch.float64) -> Batch:
    """Inputs and targets ~ N(0, 1)."""
    draws = torch.Generator().manual_seed(1)
    inputs = torch.randn(time, width, features, generator=draws, dtype=dtype)
    return Batch(inputs, torch.randn(time, width, 1, generator=draws, dtype=dtype))


def build(name: str, layers: int = 1, **changes: Any) -> RecurrentModel:
    """A float64 model of 3 features and 5 hidden units, unless `changes` say otherwise."""
    extra: dict[str, dict[str, Any]] = {"elman": {"activation": "tanh"}, "lstm": {"forget_bias": 1.0}, "gru": {}}
    values = {"name": name, "hidden_size": 5, "num_layers": layers, "dropout": 0.0, "recurrent_init": "uniform"}
    values["bidirectional"] = False
    config = TypeAdapter(model.AnyModel).validate_python({**values, "gain": 1.5, **extra[name], **changes})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.build(config, Inputs(3, tokens=False), 1).double()
