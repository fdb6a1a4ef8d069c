"""Layers that run updates by kernels of this project: all steps forwards and all backwards, each a loop written out.

Step by step autograd keeps a node for every operation of every step, and its work on them takes longer than small
products do. Here all steps of a layer are one node. Whoever has a kernel (`Loops`) states two loops over time-major
buffers; in them nothing is left to do but what needs the step before:

- what the inputs give is one product for all steps, made before; what the state gives is one product a step;
- views of a step are made for all steps at once, before the loop: each costs as much as a small product (`steps`);
- what the gradient is multiplied with on its way is computed for all steps at once, from the activations that forwards
  left (`sigmoid_slope`, `tanh_slope`), and the gradient of a matrix is one product after the loop (`of_matrix`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from study.models.cell import Cell
from study.models.contract import State
from study.schema.model.base import Kernel

STEPS, NUMBERS = 5, 1 << 14
"""Kernels are faster for windows of at least so many steps, with at most so many numbers in one part of the state.

Another rule would change the bits of runs made with `auto`: it needs a name of its own.
"""

Tensors = tuple[Tensor, ...]


def faster(inputs: Float[Tensor, "time batch features"], hidden_size: int) -> bool:
    """Whether a kernel is faster than torch."""
    steps, width, _ = inputs.shape
    return inputs.device.type == "cpu" and steps >= STEPS and width * hidden_size <= NUMBERS


class Loops(ABC):
    """Has a kernel: a layer's steps and their gradient."""

    @abstractmethod
    def forwards(self, inputs: Float[Tensor, "time batch projected"], states: Tensors, weights: Tensors) -> Tensors:
        """Run all steps, and return what `backwards` needs beside the states.

        Args:
            inputs: what enters each step from below, projected; not to be changed.
            states: every part (time + 1, batch, width): the first row is the state before the first step, the others
                are written here.
            weights: what acts on the state.
        """

    @abstractmethod
    def backwards(self, slopes: Tensors, states: Tensors, saved: Tensors, weights: Tensors) -> Tensors:
        """Gradients of the inputs and of every weight.

        Args:
            slopes: gradients of the states, changed in place. That of h is (time + 1, batch, width): what comes from
                outside, to which is added what comes from the step after. That of another part is (batch, width): of
                the state after the last step when this is called, of the one before the first when it returns.
            states: as `forwards` left them.
            saved: what it returned.
            weights: as it got them.
        """


class LoopedCell(Cell, Loops):
    """A cell with a kernel; its `kernel` is `auto` or `torch`, see `study.schema.model.base.KernelConfig`."""

    kernel: Kernel = "auto"

    def weights(self) -> Tensors:
        """What acts on the state, as the loops take it: the recurrent parameters, unless a cell says otherwise."""
        return tuple(getattr(self, name) for name in self.recurrent)  # by name: a probe may put tensors there

    def train_unroll(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Cell`; by the kernel where it is faster."""
        if self.kernel == "torch" or not faster(inputs, self.hidden_size):
            return self.unroll(inputs, state)
        return run(self, inputs, state, self.weights())


def run(loops: Loops, inputs: Tensor, state: State, weights: Tensors) -> tuple[Tensor, State]:
    """All steps of a layer by its loops: its outputs, and the state after the last; differentiable once.

    Args:
        loops: of the layer.
        inputs: what enters each step, projected.
        state: before the first step, each part (batch, width).
        weights: what acts on it.
    """
    outputs, *ends = _Run.apply(loops, len(state), inputs, *state, *weights)
    return outputs, (outputs[-1], *ends)


class _Run(torch.autograd.Function):
    """One node for all steps of a layer."""

    @staticmethod
    def forward(ctx: Any, loops: Loops, parts: int, inputs: Tensor, *tensors: Tensor) -> Tensors:
        """See `run`; the state in so many parts comes before the weights."""
        start, weights = tensors[:parts], tensors[parts:]
        states = tuple(torch.cat([part[None], part.new_empty(len(inputs), *part.shape)]) for part in start)
        saved = loops.forwards(inputs, states, weights)
        ctx.loops, ctx.ends = loops, (parts, parts + len(weights))
        ctx.save_for_backward(*states, *weights, *saved)
        return states[0][1:], *(part[-1] for part in states[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_outputs: Tensor, *of_ends: Tensor) -> tuple[Tensor | None, ...]:
        """See `Loops.backwards`."""
        kept, (parts, end) = ctx.saved_tensors, ctx.ends
        of_h = torch.cat([torch.zeros_like(of_outputs[:1]), of_outputs])
        others = tuple(part.clone() for part in of_ends)
        states, weights, saved = kept[:parts], kept[parts:end], kept[end:]
        of_inputs, *of_weights = ctx.loops.backwards((of_h, *others), states, saved, weights)
        return None, None, of_inputs, of_h[0], *others, *of_weights


def steps(*tensors: Tensor) -> Iterator[Tensors]:
    """The views of every step, from the first to the last."""
    views = [tensor.unbind() for tensor in tensors]
    with torch.inference_mode():
        yield from zip(*views, strict=True)


def steps_back(of_h: Tensor, *tensors: Tensor) -> Iterator[Tensors]:
    """The views of every step, from the last to the first; of the slope of h that after the step and that before it."""
    rows, views = of_h.unbind()[::-1], [tensor.unbind()[::-1] for tensor in tensors]
    with torch.inference_mode():
        yield from zip(rows[:-1], rows[1:], *views, strict=True)


def sigmoid_slope(factor: Tensor, value: Tensor, out: Tensor | None = None) -> Tensor:
    """Factor s (1 - s) in one pass, s being the value."""
    if out is None:
        out = torch.empty_like(value)
    return torch.ops.aten.sigmoid_backward.grad_input(factor, value, grad_input=out)


def tanh_slope(factor: Tensor, value: Tensor, out: Tensor | None = None) -> Tensor:
    """Factor (1 - t^2) in one pass, t being the value."""
    if out is None:
        out = torch.empty_like(value)
    return torch.ops.aten.tanh_backward.grad_input(factor, value, grad_input=out)


def of_matrix(d: Float[Tensor, "time batch out"], read: Float[Tensor, "time batch in"]) -> Float[Tensor, "out in"]:
    """The gradient of a matrix that all steps multiply with: of its products d, and of what it read."""
    return d.flatten(0, 1).t() @ read.flatten(0, 1)
