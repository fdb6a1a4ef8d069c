"""Architectures: one a file, one contract (`study.models.contract`), the names of `conf/model`."""

from study.models.contract import Activations, Core, Inputs, RecurrentModel, State, detach
from study.models.elman import Elman
from study.models.gru import GRU
from study.models.lstm import LSTM
from study.schema import model as schema

CORES: dict[str, type] = {"elman": Elman, "lstm": LSTM, "gru": GRU}

__all__ = ["CORES", "Activations", "Core", "Inputs", "RecurrentModel", "State", "build", "detach"]


def build(config: schema.Recurrent, inputs: Inputs, outputs: int) -> RecurrentModel:
    """The model a config names, its parameters drawn from torch's global generator."""
    features = config.hidden_size if inputs.tokens else inputs.size
    kind = CORES[config.name]  # type: ignore[attr-defined]
    cores = [kind(config, features) for _ in range(1 + config.bidirectional)]
    return RecurrentModel(inputs, cores[0], outputs, config.dropout, *cores[1:])
