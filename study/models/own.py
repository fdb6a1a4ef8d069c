"""The core in a file of the user's own: loaded, built from plain values and tried for one step before it is trained.

What a short cell leaves unsaid is found out: which of its matrices act on the state (`find_recurrent`).
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from study.errors import ConfigError
from study.models.cell import GIVEN, Cell, Layers, layered
from study.models.contract import Core, State
from study.own import OwnClass

SEQUENCES = 3
"""Of the step that is tried, side by side."""
OF_THE_BASE = ("num_layers", "dropout")
"""What `model` gives a core beside its sizes."""


def own(
    features: int,
    hidden_size: int,
    num_layers: int = 1,
    *,
    file: str,
    digest: str | None,
    options: Mapping[str, Any],
    dropout: float = 0.0,
) -> Core:
    """The core in a file; see `study.schema.own.OwnFile` for its place, digest and options.

    Raises:
        ConfigError: the file, the class, its constructor or its step cannot be used; with file and line.
    """
    build = own_class(file, digest, options)
    if "dropout" in signature(build).parameters:
        core = build(features, hidden_size, num_layers, dropout=dropout)
        if dropout and num_layers > 1 and type(core).dropped is Core.dropped:
            name = type(core).__name__
            raise ConfigError(f"model.dropout = {dropout}: {name} in {file} does not say in `dropped` what it drops")
        return core
    if dropout and num_layers > 1:
        raise ConfigError(f"model.dropout = {dropout}: the core in {file} takes no dropout, to act between its layers")
    return build(features, hidden_size, num_layers)


def own_class(file: str, digest: str | None, options: Mapping[str, Any]) -> Callable[..., Core]:
    """What builds the core in a file, with some options, from its sizes; it has the signature of what stands there."""
    loaded = OwnClass("model", file, digest, Cell, Core)
    is_cell = issubclass(loaded.found, Cell)
    _refuse_sizes(loaded, GIVEN if is_cell else (*GIVEN, "num_layers"), OF_THE_BASE if is_cell else ())
    loaded.refuse_options(options, GIVEN if is_cell else (*GIVEN, *OF_THE_BASE))
    plain = layered(loaded.found) if is_cell else loaded.found

    def build(*sizes: int, **more: Any) -> Core:
        with _unset_is_nan(), loaded.explained(f"while {loaded.found.__name__} was built"):
            core: Core = plain(*sizes, **more, **options)
        if any(parameter.is_meta for parameter in core.parameters()):  # to be counted: it has no numbers
            return core
        _refuse_nan(loaded, core)
        _try_a_step(loaded, core, int(sizes[0]) if sizes else int(more["features"]))
        return core

    build.__signature__ = signature(plain)  # type: ignore[attr-defined]
    return build


def _refuse_sizes(loaded: OwnClass, first: tuple[str, ...], reserved: tuple[str, ...]) -> None:
    """Refuse a constructor that does not start with its sizes, or has options that the base keeps for itself."""
    names, at = list(signature(loaded.found).parameters), loaded.at(loaded.found.__init__)
    if tuple(names[: len(first)]) != first:
        raise ConfigError(f"{at}: {loaded.found.__name__}({', '.join(names)}) does not start with {', '.join(first)}")
    for name in reserved:
        if name in names:
            raise ConfigError(f"{at}: {loaded.found.__name__} takes {name}, which is done around it; call it otherwise")


@contextmanager
def _unset_is_nan() -> Iterator[None]:
    """Memory that `torch.empty` leaves as it was is NaN within the block, so that a parameter left unset is seen."""
    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned)


def _refuse_nan(loaded: OwnClass, core: Core) -> None:
    for name, values in core.state_dict().items():
        if values.is_floating_point() and values.isnan().any():
            short = name.removeprefix("cells.0.")
            raise ConfigError(
                f"{loaded.at(loaded.found.__init__)}: {short} of {loaded.found.__name__} is not finite at the start; "
                "torch.empty leaves values unset until something such as nn.init.orthogonal_ sets them"
            )


def _try_a_step(loaded: OwnClass, core: Core, features: int) -> None:
    """One step of every layer, of a copy: no count, no buffer and no random state moves."""
    if core.memory not in core.state_parts:
        at = loaded.at(loaded.found)
        raise ConfigError(f"{at}: memory = {core.memory!r} is none of state_parts = {core.state_parts}")
    with torch.random.fork_rng(devices=[]):
        for layer in range(core.num_layers):
            inputs = _waves(SEQUENCES, features if layer == 0 else core.hidden_size)
            if isinstance(core, Layers):
                cell = core.cells[layer]
                assert isinstance(cell, Cell)
                _try_cell(loaded, copy.deepcopy(cell), inputs)
                cell.recurrent = find_recurrent(loaded, cell, inputs)
            else:
                _try_core(loaded, copy.deepcopy(core), layer, inputs)


def _try_cell(loaded: OwnClass, cell: Cell, inputs: Tensor) -> None:
    kind, name, parts = type(cell), type(cell).__name__, cell.state_parts
    with loaded.explained(f"while a step of {name} was tried"):
        start = cell.initial(inputs)
        _refuse_parts(f"{loaded.at(kind.initial)}: {name}.initial", parts, cell.widths, start)
        after = cell.step(cell.project(inputs), start)
    _refuse_parts(f"{loaded.at(kind.step)}: {name}.step", parts, cell.widths, after)
    _refuse_beside(f"{loaded.at(kind.step)}: {name}.step", after[0], after[parts.index(cell.memory)], cell.memory)


def _try_core(loaded: OwnClass, core: Core, layer: int, inputs: Tensor) -> None:
    kind, name = type(core), type(core).__name__
    with loaded.explained(f"while a step of {name} was tried"):
        start = tuple(part[layer] for part in core.initial_state(inputs[None]))
        after = core.step(layer, inputs, start)
    widths = tuple(part.shape[-1] for part in start)
    _refuse_parts(f"{loaded.at(kind.step)}: {name}.step", core.state_parts, widths, after)
    memory = after[core.state_parts.index(core.memory)]
    _refuse_beside(f"{loaded.at(kind.step)}: {name}.step", after[0], memory, core.memory)


def _refuse_parts(who: str, names: tuple[str, ...], widths: tuple[int, ...], found: Any) -> None:
    """Refuse a state that is no tuple of as many parts as have names, each (batch, width)."""
    if not isinstance(found, tuple):
        raise ConfigError(f"{who} returns a {type(found).__name__}, not a tuple of the parts {names}: write (h,)")
    if len(found) != len(names):
        raise ConfigError(f"{who} returns {len(found)} parts, but state_parts = {names}")
    for name, width, part in zip(names, widths, found, strict=True):
        if not isinstance(part, Tensor):
            raise ConfigError(f"{who} returns a {type(part).__name__} as {name}, not a tensor")
        if part.shape != (SEQUENCES, width):
            asked = (SEQUENCES, width)
            raise ConfigError(f"{who} returns {name} of shape {tuple(part.shape)}, not {asked} (batch, width)")


def _refuse_beside(who: str, hidden: Tensor, memory: Tensor, name: str) -> None:
    """Refuse a memory that is not on the way to h: no gradient could be measured in it."""
    if hidden.requires_grad and memory.requires_grad:
        (slope,) = torch.autograd.grad(hidden.sum(), memory, allow_unused=True)
        if slope is None:
            raise ConfigError(f"{who} returns a {name} that its h is not computed from; return the very tensor it is")


def find_recurrent(loaded: OwnClass, cell: Cell, inputs: Tensor) -> tuple[str, ...]:
    """The matrices of a cell that does not state `recurrent`: those that act on the state and on nothing else.

    Such a matrix has no gradient where the state is zero, whatever comes in, and has one where the inputs are zero and
    the state is not. (The second sorts out matrices of the inputs that are multiplied with the state, as in a gate.)
    """
    stated = any("recurrent" in vars(kind) for kind in type(cell).__mro__ if kind is not Cell)
    if stated:
        return cell.recurrent
    tried = copy.deepcopy(cell)
    matrices = {n: p for n, p in tried.named_parameters() if p.ndim == 2 and "parametrizations" not in n}
    some = tuple(_waves(SEQUENCES, width) for width in cell.widths)
    with loaded.explained(f"while a gradient of {type(cell).__name__} was tried"):
        without_state = _moved(tried, matrices, inputs, tuple(map(torch.zeros_like, some)))
        without_inputs = _moved(tried, matrices, torch.zeros_like(inputs), some)
    return tuple(name for name in matrices if name in without_inputs - without_state)


def _moved(cell: Cell, parameters: Mapping[str, Tensor], inputs: Tensor, state: State) -> set[str]:
    """The parameters that have a gradient after a step, in a sum whose weights are all different."""
    after = cell.step(cell.project(inputs), state)
    total = torch.stack([(part * _waves(*part.shape)).sum() for part in after]).sum()
    if not (parameters and total.requires_grad):
        return set()
    slopes = torch.autograd.grad(total, [*parameters.values()], allow_unused=True)
    return {name for name, slope in zip(parameters, slopes, strict=True) if slope is not None and slope.any()}


def _waves(*shape: int) -> Tensor:
    """Fixed values between -1 and 1, no two alike."""
    return (1.0 + torch.arange(shape[0] * shape[1])).sin().view(shape)
