"""Small networks and data that several probes are tested on."""

from typing import Any

import torch

from study.models import Inputs, RecurrentModel, core_class
from study.tasks.contract import Batch
from study.testing.cores import takes


def batch(time: int, width: int, features: int, dtype: torch.dtype = torch.float64) -> Batch:
    """Inputs and targets ~ N(0, 1)."""
    draws = torch.Generator().manual_seed(1)
    inputs = torch.randn(time, width, features, generator=draws, dtype=dtype)
    return Batch(inputs, torch.randn(time, width, 1, generator=draws, dtype=dtype))


def build(name: str, layers: int = 1, **changes: Any) -> RecurrentModel:
    """A float64 model of 3 features and 5 hidden units, unless `changes` say otherwise."""
    core = core_class(name)
    strong = {key: value for key, value in {"recurrent_init": "uniform", "gain": 1.5}.items() if takes(core, key)}
    values = {"hidden_size": 5, "num_layers": layers, **strong, **changes}
    bidirectional = values.pop("bidirectional", False)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cores = [core(3, **values) for _ in range(1 + bidirectional)]
        return RecurrentModel(Inputs(3, tokens=False), cores[0], 1, 0.0, *cores[1:]).double()
