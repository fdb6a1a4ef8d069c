"""A core taken one step at a time, for what asks about the states between: probes, regularizers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from study.models.contract import Core, State


def step(core: Core, inputs: Float[Tensor, "batch features"], state: Sequence[Tensor]) -> list[Tensor]:
    """One step of all layers; states in the order of `flatten`."""
    parts = len(core.state_parts)
    new: list[Tensor] = []
    for layer in range(core.num_layers):
        after = core.step(layer, inputs, tuple(state[layer * parts : (layer + 1) * parts]))
        inputs = core.above(inputs, after[0])
        new += after
    return new


def flatten(state: State) -> list[Tensor]:
    """The parts of a core's state, (layers, batch, width) each, as one tensor a layer and part, lowest layer first."""
    return [part[layer] for layer in range(len(state[0])) for part in state]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Take no gradient of the weights within the block: a step then leaves a graph of states alone, and sooner."""
    free = [weights for weights in model.parameters() if weights.requires_grad]
    try:
        for weights in free:
            weights.requires_grad_(False)
        yield
    finally:
        for weights in free:
            weights.requires_grad_(True)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout off within the block and gradients on, and put every module back into its mode afterwards.

    cuDNN's layers refuse to be differentiated in evaluation mode, so they are switched off too.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        for module, training in modes:
            module.training = training
