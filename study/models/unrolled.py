"""Ways to run a core over a sequence: by its own forward, by that for updates, or step by step.

Training steps a core where something acts on every state: a gradient is clipped at every step, a regulariser sees what
flows back, units are dropped on the recurrence. It costs what a fused call saves; evaluation and probes do without.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from study.models.contract import Core, State

Run = Callable[[Core, Tensor, State | None], tuple[Tensor, State]]
"""A way to run a core over a sequence: takes and returns what its `forward` does."""
Watch = Callable[[int, State], State]
"""Takes a layer (from 0, the lowest) and its new state, each part (batch, width); returns what is read in its place."""


def by_itself(core: Core, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
    """A core run by its own forward; step by step in training with dropout on the recurrence, which that lacks."""
    if core.training and core.recurrent_dropout:
        return unrolled(core, inputs, state)
    return core(inputs, state)


def in_updates(core: Core, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
    """The same where only an update is made of the gradient: a core may have a faster way for that."""
    return by_itself(core, inputs, state) if core.recurrent_dropout else core.train_forward(inputs, state)


def watched(watch: Watch | None) -> Run:
    """How updates run cores that `watch` sees every state of; None: nothing does."""
    return in_updates if watch is None else partial(unrolled, watch=watch)


def unrolled(
    core: Core, inputs: Tensor, state: State | None = None, *, watch: Watch | None = None
) -> tuple[Tensor, State]:
    """What `core(inputs, state)` returns, every new state of every layer replaced by what `watch` makes of it.

    The next step, the layer above and the head read the state that `watch` returned. Between layers is the dropout that
    the core's own forward has there, at the same rate but not the same draws. The state before the first step is not
    watched: it was, as the last one of the window before.

    In training `core.recurrent_dropout` of the units of h are zero where h enters a step, the same ones at all steps of
    the call, others in every layer and sequence; what leaves the step is whole (Gal & Ghahramani 2016, eq. 7).

    Args:
        core: any.
        inputs: (time, batch, features).
        state: before the first step; None: the initial state.
        watch: called layer by layer, from the first step to the last.
    """
    state, ends = state or core.initial_state(inputs), []
    for layer in range(core.num_layers):
        entering = core.dropped(inputs) if layer else inputs
        outputs, at = _layer(core, layer, entering, tuple(part[layer] for part in state), watch)
        inputs = core.above(entering, outputs) if layer < core.num_layers - 1 else outputs
        ends.append(at)
    return inputs, tuple(torch.stack(parts) for parts in zip(*ends, strict=True))


def _layer(core: Core, layer: int, inputs: Tensor, at: State, watch: Watch | None) -> tuple[Tensor, State]:
    share = core.recurrent_dropout if core.training else 0.0
    kept = functional.dropout(torch.ones_like(at[0]), share) if share else None
    outputs = []
    for step in inputs.unbind():
        at = core.step(layer, step, at if kept is None else (at[0] * kept, *at[1:]))
        at = at if watch is None else watch(layer, at)
        outputs.append(at[0])
    return torch.stack(outputs), at
