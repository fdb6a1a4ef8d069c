"""The parameters of a model in groups that an optimizer treats alike: those that decay, and hidden matrices."""

from typing import Any, Literal

from torch import Tensor, nn

from study.models import RecurrentModel


def parameter_groups(
    model: RecurrentModel, decay: Literal["all", "matrices"], hidden_apart: bool = False
) -> list[dict[str, Any]]:
    """Parameters as torch's optimizers take them: hidden matrices first, then what decays, each in the model's order.

    Args:
        model: whose parameters they are.
        decay: `all` parameters have the optimizer's weight decay, or `matrices` alone and all others none.
        hidden_apart: hidden matrices form groups of their own, marked `hidden`.
    """
    embedded, hidden = _embeddings(model), _hidden(model)
    found: dict[tuple[bool, bool], list[Tensor]] = {}
    for parameter in model.parameters():
        decays = decay == "all" or (parameter.ndim == 2 and id(parameter) not in embedded)
        found.setdefault((hidden_apart and id(parameter) in hidden, decays), []).append(parameter)
    return [_group(*key, found[key], hidden_apart) for key in sorted(found, reverse=True)]


def _group(hidden: bool, decays: bool, parameters: list[Tensor], marked: bool) -> dict[str, Any]:
    group: dict[str, Any] = {"params": parameters}
    return group | ({} if decays else {"weight_decay": 0.0}) | ({"hidden": hidden} if marked else {})


def _embeddings(model: RecurrentModel) -> set[int]:
    """Tables of embeddings, of which an update moves only the rows it reads; also one that the head shares."""
    return {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}


def _hidden(model: RecurrentModel) -> set[int]:
    """The matrices of the cores: what stands between the encoder and the head."""
    cores = [core for core in (model.core, model.reverse) if core is not None]
    return {id(p) for core in cores for p in core.parameters() if p.ndim == 2} - _embeddings(model)
