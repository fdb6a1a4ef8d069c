r"""The way a gradient takes back through time, step by step and layer by layer, at any size a float cannot hold.

The core is stepped one layer and one step at a time (`Core.step`), so that every state x_t^l = (h) or (h, c) of every
layer l is a tensor autograd can be asked about, along ALL paths: from c to h, up through the layers of the same step,
and on through time. (A fused call returns states that are not on the way its outputs came.)

The graph is cut into segments of a few steps. Between two of them the gradient of every sequence is scaled to norm 1
and its logarithm kept, so that 1e-300 and 1e300 are as exact as 1. Sequences of a batch do not mix: each has its scale.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from study.models import Core, State

SEGMENT = 10
"""Steps between two scalings: float32 holds a gradient that grows 6,000 times at each of them."""


class Segment:
    """A few steps of a core on one graph, cut off before the first.

    Attributes:
        steps: how many.
        entry: the state before the first step, a leaf: one tensor a layer and part, lowest layer first.
        nodes: the states after every step, each in the order of `entry`.
    """

    def __init__(self, core: Core, inputs: Float[Tensor, "time batch features"], state: Sequence[Tensor]):
        self.steps, self._parts = len(inputs), len(state) // core.num_layers
        self.entry = [part.detach().requires_grad_() for part in state]
        self.nodes: list[list[Tensor]] = []
        for entering in inputs:
            self.nodes.append(step(core, entering, self.nodes[-1] if self.nodes else self.entry))

    @property
    def outputs(self) -> list[Tensor]:
        """What leaves the core at every step: h of the top layer."""
        return [states[-self._parts] for states in self.nodes]

    def backward(
        self, exit: Sequence[Tensor], outputs: Float[Tensor, "time batch hidden"]
    ) -> tuple[Float[Tensor, "time states batch hidden"], list[Tensor]]:
        """Take a gradient back to the entry.

        Args:
            exit: with respect to the state handed on after the last step.
            outputs: with respect to what leaves the core at every step.

        Returns:
            The gradient with respect to every node, along all paths; and that with respect to the entry.
        """
        flat = [node for states in self.nodes for node in states]
        ends, given = [*self.nodes[-1], *self.outputs], [*exit, *outputs]
        gradients = torch.autograd.grad(ends, [*flat, *self.entry], given, allow_unused=True, materialize_grads=True)
        inside = torch.stack(gradients[: len(flat)])
        return inside.view(self.steps, len(self.entry), *inside.shape[1:]), list(gradients[len(flat) :])


def step(core: Core, inputs: Float[Tensor, "batch features"], state: Sequence[Tensor]) -> list[Tensor]:
    """One step of all layers; states in the order of `Segment.entry`."""
    parts = len(state) // core.num_layers
    new: list[Tensor] = []
    for layer in range(core.num_layers):
        after = core.step(layer, inputs, tuple(state[layer * parts : (layer + 1) * parts]))
        inputs = after[0]
        new += after
    return new


def flatten(state: State) -> list[Tensor]:
    """The parts of a core's state, (layers, batch, hidden) each, in the order of `Segment.entry`."""
    return [part[layer] for layer in range(len(state[0])) for part in state]


def unroll(core: Core, inputs: Float[Tensor, "time batch features"], state: State) -> list[Segment]:
    """All steps of `inputs` as segments, from `state` on."""
    segments: list[Segment] = []
    for part in inputs.split(SEGMENT):
        segments.append(Segment(core, part, segments[-1].nodes[-1] if segments else flatten(state)))
    return segments


def backpropagate(
    segments: Sequence[Segment], outputs: Float[Tensor, "time batch hidden"]
) -> Float[Tensor, "time states batch"]:
    """The logarithm of || d L / d x_t^l || for every step and layer, part by part, per sequence, in float64.

    Args:
        segments: of `unroll`.
        outputs: the loss's own gradient with respect to what leaves the core at every step.
    """
    carried = [torch.zeros_like(part) for part in segments[0].entry]
    scale = outputs.new_full(outputs.shape[1:2], -torch.inf, dtype=torch.float64)
    norms: list[Tensor] = []
    later = outputs
    for segment in reversed(segments):
        later, own = later[: -segment.steps], later[-segment.steps :]
        added = log_norm(own).amax(0)
        common = torch.maximum(scale, added)
        common = torch.where(common == -torch.inf, 0.0, common)
        shrink = (scale - common).exp()[:, None]
        weight = torch.where(added == -torch.inf, 0.0, (-common).exp())[:, None]
        exit = [(part * shrink).to(part.dtype) for part in carried]
        inside, entry = segment.backward(exit, (own * weight).to(own.dtype))
        norms.append(log_norm(inside) + common)
        carried, length = _normalised(entry)
        scale = common + length
    return torch.cat(norms[::-1])


def log_norm(vectors: Float[Tensor, "*rest hidden"]) -> Float[Tensor, " *rest"]:
    """The logarithm of ||v||_2 over the last dimension, in float64."""
    return torch.linalg.vector_norm(vectors, dim=-1, dtype=torch.float64).log()


def _normalised(parts: list[Tensor]) -> tuple[list[Tensor], Float[Tensor, " batch"]]:
    """The parts of a gradient scaled to joint norm 1 for every sequence, and the log of that norm; zero stays zero."""
    length = log_norm(torch.cat(parts, -1))
    inverse = torch.where(length == -torch.inf, 0.0, (-length).exp())[:, None]
    return [(part * inverse).to(part.dtype) for part in parts], length


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout off within the block, as it was after it; gradients on, which cuDNN's layers refuse without dropout."""
    training = model.training
    model.eval()
    try:
        with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            yield
    finally:
        model.train(training)
