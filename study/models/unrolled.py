"""A core step by step with someone watching: every new state passes through a function before anything reads it.

Training watches where it has to see or change what flows back through every state: a gradient clipped at every step, a
regularizer on it, noise on the recurrence. It costs what a fused call saves; evaluation and probes do without.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from study.models.contract import Core, Run, State, by_itself

Watch = Callable[[int, State], State]
"""Takes a layer (from 0, the lowest) and its new state, each part (batch, width); returns what is read in its place."""


def unrolled(core: Core, inputs: Tensor, state: State | None = None, *, watch: Watch) -> tuple[Tensor, State]:
    """What `core(inputs, state)` returns, every new state of every layer replaced by what `watch` makes of it.

    The next step, the layer above and the head read the state that `watch` returned. Between layers is the dropout that
    the core's own forward has there, at the same rate but not the same draws. The state before the first step is not
    watched: it was, as the last one of the window before.

    Args:
        core: any.
        inputs: (time, batch, features).
        state: before the first step; None: the initial state.
        watch: called layer by layer, from the first step to the last.
    """
    state, ends = state or core.initial_state(inputs), []
    for layer in range(core.num_layers):
        entering = core.dropped(inputs) if layer else inputs
        at, outputs = tuple(part[layer] for part in state), []
        for step in entering.unbind():
            at = watch(layer, core.step(layer, step, at))
            outputs.append(at[0])
        inputs = torch.stack(outputs)
        if layer < core.num_layers - 1:
            inputs = core.above(entering, inputs)
        ends.append(at)
    return inputs, tuple(torch.stack(parts) for parts in zip(*ends, strict=True))


def watched(watch: Watch | None) -> Run:
    """How cores are run that `watch` sees every state of; None: by their own forward."""
    return by_itself if watch is None else partial(unrolled, watch=watch)
