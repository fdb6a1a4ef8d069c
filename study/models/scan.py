r"""Memories that are linear and diagonal in themselves, all steps of them at once, and the layers that have one.

    m_t = a_t m_{t-1} + b_t,   a_t and b_t from the inputs alone.

`scan` makes all steps one node of the graph. A loop leaves a node a step, and autograd's work on them, not the
arithmetic, is what it spends its time with. The gradient is the same recurrence, run backwards:

    g_t = dL/dm_t + conj(a_{t+1}) g_{t+1},   dL/da_t = g_t conj(m_{t-1}),   dL/db_t = g_t,   dL/dm_0 = conj(a_1) g_1.

It goes step by step. On a CPU that is faster than log2(T) passes over the whole sequence (Hillis & Steele 1986), which
do log2(T) times the work; and it takes factors of exactly 0 and 1, because nothing is divided and no logarithm taken.
Forward and backward of a float32 recurrence, milliseconds, one thread of an Intel Xeon (Sapphire Rapids), torch 2.13:

    batch x steps, hidden   loop   passes   scan
    32 x 50, 32             1.29     4.4    0.66
    32 x 50, 128            1.93    14.8    1.25
    16 x 200, 32            4.39     8.5    1.93
    16 x 200, 128           6.69    34.3    3.27
"""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from study.models.cell import Cell
from study.models.contract import State


def scan(a: Tensor, b: Tensor, start: Tensor) -> Tensor:
    """M_1 .. M_T; differentiable in all three, as often as wanted.

    Args:
        a: what of the memory stays at every step, (time, *rest), real or complex.
        b: what is added to it, of the same shape and type.
        start: the memory before the first step, (*rest).
    """
    return _Scan.apply(a, b, start, False)


class _Scan(torch.autograd.Function):
    """From the first step to the last, or the other way: then m_t = a_t m_{t+1} + b_t."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, start: Tensor, backwards: bool) -> Tensor:
        """See `scan`."""
        memory, last = torch.empty_like(b), start
        steps = list(zip(a.unbind(), b.unbind(), memory.unbind(), strict=True))
        for factor, added, into in reversed(steps) if backwards else steps:
            last = torch.addcmul(added, factor, last, out=into)
        ctx.backwards = backwards
        ctx.save_for_backward(a, memory, start)
        return memory

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """The other way, by the same function, so that this has a gradient too."""
        a, memory, start = ctx.saved_tensors
        nothing, one = torch.zeros_like(a[:1]), start[None]
        if ctx.backwards:
            first, later, before = -1, torch.cat([nothing, a[:-1]]), torch.cat([memory[1:], one])
        else:
            first, later, before = 0, torch.cat([a[1:], nothing]), torch.cat([one, memory[:-1]])
        slope = _Scan.apply(later.conj_physical(), slopes[0], torch.zeros_like(start), not ctx.backwards)
        return slope * before.conj(), slope, slope[first] * a[first].conj(), None


class Diagonal(Cell):
    """One layer whose memory, the last part of its state, is m_t = a_t m_{t-1} + b_t, each entry by itself.

    If a and b are complex, so is m; the state keeps its real and its imaginary part, end to end.
    """

    @abstractmethod
    def terms(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Compute a and b of one step or of many: all dimensions but the last stay what they are.

        Args:
            inputs: what `project` made of the inputs.
        """

    def after(self, memory: Tensor, inputs: Tensor) -> State:
        """The whole state with this memory, of one step or of many; the memory alone, unless a cell has more."""
        return (memory,)

    def step(self, inputs: Tensor, state: State) -> State:
        """See `Cell`."""
        a, b = self.terms(inputs)
        return self.after(_real(torch.addcmul(b, a, _like(state[-1], b))), inputs)

    def unroll(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """See `Cell`; the memory by `scan`, everything else for all steps at once."""
        a, b = self.terms(inputs)
        states = self.after(_real(scan(a, b, _like(state[-1], b))), inputs)
        return states[0], tuple(part[-1] for part in states)


def _like(memory: Tensor, other: Tensor) -> Tensor:
    """The memory as `other` is: complex, or as the state keeps it."""
    return torch.complex(*memory.chunk(2, -1)) if other.is_complex() else memory


def _real(memory: Tensor) -> Tensor:
    """The memory as the state keeps it."""
    return torch.cat([memory.real, memory.imag], -1) if memory.is_complex() else memory
