r"""The way a gradient takes back through time, step by step and layer by layer, at sizes that no float can hold.

The core is stepped one layer and one step at a time (`Core.step`), so that every part of every state x_t^l of every
layer l is a tensor autograd can be asked about, along ALL paths: from c to h, up through the layers of the same step,
and on through time. (A fused call returns states that are not on the way its outputs came.)

The graph is cut into segments of a few steps. Between two of them the gradient of every sequence is scaled to norm 1
and the logarithm of its norm kept, so that 1e-300 and 1e300 are as exact as 1. A segment in which the gradient leaves
the range of its floats all the same is repeated step by step. Sequences of a batch do not mix: each has its own scale.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import parametrize

from study.models import Core, State
from study.models.stepping import flatten, step

SEGMENT = 20
"""Steps between two scalings: float32 holds a gradient that grows 80 times, or shrinks 30 times, at each."""
FAINT = 1e-30
"""A gradient of norm 1 that shrank to less within a segment may have lost parts: float32 ends at 1e-38."""


class Segment:
    """A few steps of a core on one graph, cut off before the first.

    Attributes:
        inputs: what entered at every step.
        entry: the state before the first step, a leaf: one tensor a layer and part, lowest layer first.
        nodes: the states after every step, each in the order of `entry`.
    """

    def __init__(self, core: Core, inputs: Float[Tensor, "time batch features"], state: Sequence[Tensor]):
        self._core, self.inputs = core, inputs
        self.entry = [part.detach().requires_grad_() for part in state]
        self.nodes: list[list[Tensor]] = []
        for entering in inputs:
            self.nodes.append(step(core, entering, self.nodes[-1] if self.nodes else self.entry))

    @property
    def outputs(self) -> list[Tensor]:
        """What leaves the core at every step: the first part of the top layer's state."""
        top = -len(self._core.state_parts)
        return [states[top] for states in self.nodes]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.inputs)

    def split(self) -> "list[Segment]":
        """The same steps as segments of one step each."""
        return chain(self._core, self.inputs, self.entry, 1)

    def backward(
        self, exit: Sequence[Tensor], outputs: Float[Tensor, "time batch hidden"]
    ) -> tuple[Float[Tensor, "time states batch"], list[Tensor]]:
        """Take a gradient back to the entry.

        Args:
            exit: with respect to the state handed on after the last step.
            outputs: with respect to what leaves the core at every step.

        Returns:
            The log norm of the gradient with respect to every node, along all paths; the gradient with respect to the
            entry.
        """
        flat = [node for states in self.nodes for node in states]
        ends, given = [*self.nodes[-1]], [*exit]
        if outputs.any():  # every end costs time, and most segments lie before the one where the loss is taken
            ends, given = [*ends, *self.outputs], [*given, *outputs]
        gradients = torch.autograd.grad(ends, [*flat, *self.entry], given, allow_unused=True, materialize_grads=True)
        return self._log_norms(gradients[: len(flat)]), list(gradients[len(flat) :])

    def _log_norms(self, gradients: tuple[Tensor, ...]) -> Float[Tensor, "time states batch"]:
        """Log norms in the order of `nodes`; one part of the state at a time, for parts may differ in width."""
        parts, batch = len(self._core.state_parts), self.inputs.shape[1]
        norms = [log_norm(torch.stack(gradients[part::parts])) for part in range(parts)]
        return torch.stack(norms, 1).view(self.steps, len(self.entry), batch)


def unroll(core: Core, inputs: Float[Tensor, "time batch features"], state: State) -> list[Segment]:
    """All steps of `inputs` as segments, from `state` on."""
    return chain(core, inputs, flatten(state), SEGMENT)


def chain(
    core: Core, inputs: Float[Tensor, "time batch features"], state: Sequence[Tensor], steps: int
) -> list[Segment]:
    """All steps of `inputs` as segments of so many steps, each from the state in which the one before ends."""
    segments: list[Segment] = []
    with parametrize.cached():  # a matrix that is made of a free one is made once, not once a step
        for part in inputs.split(steps):
            segments.append(Segment(core, part, segments[-1].nodes[-1] if segments else state))
    return segments


class Carried(NamedTuple):
    """A gradient on its way back: with respect to a state, part by part, every sequence divided by its own scale.

    Attributes:
        parts: in the order of `Segment.entry`.
        scale: the logarithm of what to multiply with; -inf where the gradient is zero.
    """

    parts: list[Tensor]
    scale: Float[Tensor, " batch"]


def backpropagate(
    segments: Sequence[Segment], outputs: Float[Tensor, "time batch hidden"]
) -> Float[Tensor, "time states batch"]:
    """The logarithm of || d L / d x_t^l || for every step and layer, part by part, per sequence, in float64.

    Args:
        segments: of `unroll`.
        outputs: the loss's own gradient with respect to what leaves the core at every step.
    """
    nothing = outputs.new_full(outputs.shape[1:2], -torch.inf, dtype=torch.float64)
    carried = Carried([torch.zeros_like(part) for part in segments[0].entry], nothing)
    return _through_all(segments, carried, outputs)[0]


def _through_all(
    segments: Sequence[Segment], carried: Carried, outputs: Float[Tensor, "time batch hidden"]
) -> tuple[Float[Tensor, "time states batch"], Carried]:
    """Through several segments, from what is carried into the end of the last to what leaves the first."""
    norms: list[Tensor] = []
    for segment, own in zip(reversed(segments), reversed(outputs.split([s.steps for s in segments])), strict=True):
        added = log_norm(own).amax(0)
        passed, after = _through(segment, carried, own, added)
        # A gradient may leave the range of its floats inside a segment and come back as 0, inf or NaN. Single steps
        # are scaled after each, so they cannot go on to lose it.
        if segment.steps > 1 and _out_of_range(passed, torch.maximum(carried.scale, added), after.scale):
            passed, after = _through_all(segment.split(), carried, own)
        norms.append(passed)
        carried = after
    return torch.cat(norms[::-1]), carried


def _through(
    segment: Segment, carried: Carried, own: Float[Tensor, "time batch hidden"], added: Float[Tensor, " batch"]
) -> tuple[Float[Tensor, "time states batch"], Carried]:
    """Through one segment, with the carried and the added gradient, of log norm `added` at most, on a common scale."""
    # The larger of the two becomes 1: what then underflows is too small beside it to be seen in the sum.
    common = torch.maximum(carried.scale, added)
    common = torch.where(common == -torch.inf, 0.0, common)
    shrink = (carried.scale - common).exp()[:, None]
    weight = torch.where(added == -torch.inf, 0.0, (-common).exp())[:, None]
    exit = [(part * shrink).to(part.dtype) for part in carried.parts]
    inside, entry = segment.backward(exit, (own * weight).to(own.dtype))
    parts, length = _normalised(entry)
    return inside + common, Carried(parts, common + length)


def _out_of_range(
    passed: Float[Tensor, "time states batch"], before: Float[Tensor, " batch"], after: Float[Tensor, " batch"]
) -> bool:
    """Whether a gradient that was there left a segment as zero, nearly zero, or nothing finite."""
    faint = (before > -torch.inf) & (after < before + math.log(FAINT))
    return bool((faint | ~(passed < torch.inf).all(0).all(0)).any())


def log_norm(vectors: Float[Tensor, "*rest width"]) -> Float[Tensor, " *rest"]:
    """The logarithm of ||v||_2 over the last dimension, in float64."""
    return torch.linalg.vector_norm(vectors, dim=-1, dtype=torch.float64).log()


def _normalised(parts: list[Tensor]) -> tuple[list[Tensor], Float[Tensor, " batch"]]:
    """The parts of a gradient scaled to joint norm 1 for every sequence, and the log of that norm; zero stays zero."""
    length = log_norm(torch.cat(parts, -1))
    inverse = torch.where(length == -torch.inf, 0.0, (-length).exp())[:, None]
    return [(part * inverse).to(part.dtype) for part in parts], length
