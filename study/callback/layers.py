"""Recurrent layers of somebody else's network, seen as cores of ours: the same parameters, stepped by our `step`."""

from collections.abc import Iterator

from torch import nn

from study.errors import ConfigError
from study.models import Core, core_class
from study.models.fused import Fused
from study.schema.model import MODELS

Recurrent = nn.RNNBase | nn.RNNCellBase | Core
CELLS: dict[type[nn.RNNCellBase], type[nn.RNNBase]] = {nn.RNNCell: nn.RNN, nn.GRUCell: nn.GRU, nn.LSTMCell: nn.LSTM}
"""torch's cells, and its layers that repeat them."""


def find_layer(module: nn.Module, wanted: str | None) -> tuple[str, Recurrent] | None:
    """The recurrent layer that is asked for by its name, else the first; None where a network has none.

    Raises:
        ConfigError: no recurrent layer has this name.
    """
    found = {name: layer for name, layer in module.named_modules() if isinstance(layer, Recurrent)}
    if wanted is not None and wanted not in found:
        names = ", ".join(found) or "there are none"
        raise ConfigError(f"layer = {wanted!r}: no recurrent layer has this name (allowed: {names})")
    name = wanted if wanted is not None else next(iter(found), None)
    return None if name is None else (name, found[name])


def obstacle(layer: Recurrent) -> str:
    """Why a layer cannot be stepped; empty where it can."""
    if isinstance(layer, nn.RNNBase) and layer.bidirectional:
        return "a bidirectional layer has no steps that only the past enters"
    if isinstance(layer, nn.RNNBase) and layer.proj_size:
        return "the steps of a layer with proj_size are not known here"
    if isinstance(layer, Core) or _like_torch(_kind(layer)) is not None:
        return ""
    return f"the steps of {type(layer).__name__} are not known here"


def as_core(layer: Recurrent) -> Core:
    """A layer that has no `obstacle` as a core with the same parameters; nothing is copied, drawn or changed."""
    if isinstance(layer, Core):
        return layer
    kind = _like_torch(_kind(layer))
    assert kind is not None
    core = object.__new__(kind)
    nn.Module.__init__(core)
    if isinstance(layer, nn.RNNBase):  # all but what others have hooked to it
        vars(core).update({name: value for name, value in vars(layer).items() if "hooks" not in name})
        return core
    core.hidden_size, core.num_layers = layer.hidden_size, 1
    if isinstance(layer, nn.RNNCell):
        vars(core)["nonlinearity"] = layer.nonlinearity
    for name, parameter in layer.named_parameters():
        core.register_parameter(f"{name}_l0", parameter)
    return core


def _kind(layer: nn.Module) -> type[nn.Module]:
    """The class of torch's layers that a layer or a cell belongs to; its own class where there is none."""
    pairs = CELLS.items()
    return next((kind for cell, kind in pairs if isinstance(layer, cell | kind)), type(layer))


def _like_torch(kind: type[nn.Module]) -> type[Fused] | None:
    """The core that is this layer of torch's."""
    return next((core for core in _fused() if core.__bases__[0] is kind), None)


def _fused() -> Iterator[type[Fused]]:
    for name in MODELS:
        if isinstance(found := core_class(name), type) and issubclass(found, Fused):
            yield found
