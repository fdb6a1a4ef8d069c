"""Cores of one architecture and size, each over sequences of its own, computed as one program.

The products of all replicas at a step are one batched product. A replica is one core; its parameters stay its own, so
that the gradient of a summed loss arrives where an optimizer of that replica looks for it. torch's fused layers are
written out here for a stack of replicas, as `study.models.cells` has them for one; cells stated by their step go
through `torch.func.vmap`, at no code of their own.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.func import functional_call, vmap

from study.models import Core
from study.models.fused import Fused
from study.models.scan import Diagonal


def can_be_stacked(core: Core) -> bool:
    """Whether `together` takes its kind: a scan has no rule for `vmap`."""
    return not any(isinstance(module, Diagonal) for module in core.modules())


def together(
    cores: Sequence[Core], inputs: Sequence[Float[Tensor, "time batch features"]]
) -> Sequence[Float[Tensor, "time batch hidden"]]:
    """What leaves every core at every step, from its initial state.

    Args:
        cores: of one layer if they are torch's, without dropout.
        inputs: of every core, of one shape.
    """
    if not isinstance(cores[0], Fused):
        return _by_vmap(cores, torch.stack(list(inputs)))
    assert cores[0].num_layers == 1
    parts = zip(*(core.weights(0) for core in cores if isinstance(core, Fused)), strict=True)
    w_x, w_h, b_x, b_h = (torch.stack([part for part in of_all if part is not None]) for of_all in parts)
    kind = STACKS[type(cores[0]).__name__]
    at_once, bias = torch.stack([each.flatten(0, 1) for each in inputs]), b_x if kind is _GRUStack else b_x + b_h
    entering = torch.baddbmm(bias[:, None], at_once, w_x.mT).unflatten(1, inputs[0].shape[:2]).transpose(0, 1)
    start = entering.new_zeros(*entering.shape[1:3], w_h.shape[-1])
    further = (b_h[:, None],) if kind is _GRUStack else ()
    outputs: Tensor = kind.apply(entering.contiguous(), w_h, *further, start)
    return outputs.unbind(1)


def _by_vmap(cores: Sequence[Core], inputs: Float[Tensor, "stack time batch features"]) -> Sequence[Tensor]:
    held = [dict(core.named_parameters()) | dict(core.named_buffers()) for core in cores]
    stacked = {name: torch.stack([tensors[name] for tensors in held]) for name in held[0]}

    def outputs(tensors: dict[str, Tensor], entering: Tensor) -> Tensor:
        return functional_call(cores[0], tensors, (entering,))[0]

    return vmap(outputs)(stacked, inputs).unbind()


def _rows(steps: Float[Tensor, "time stack batch size"]) -> Float[Tensor, "stack rows size"]:
    """All steps and sequences of every replica one under another, so that dL/dW of all is one batched product."""
    return steps.transpose(0, 1).flatten(1, 2)


class _ElmanStack(torch.autograd.Function):
    """h_t = tanh(x_t + W h_{t-1}) of every replica."""

    @staticmethod
    def forward(ctx: Any, entering: Float[Tensor, "time stack batch hidden"], w: Tensor, start: Tensor) -> Tensor:
        """All h."""
        states = torch.cat([start[None], torch.empty_like(entering)])
        h, *following = states.unbind()
        for x, after in zip(entering.unbind(), following, strict=True):
            h = torch.baddbmm(x, h, w.mT, out=after).tanh_()
        ctx.save_for_backward(states, w)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """From the last step to the first."""
        states, w = ctx.saved_tensors
        d = states[1:].square().neg_().add_(1)
        later = None
        for of_h, now in zip(reversed(grad.unbind()), reversed(d.unbind()), strict=True):
            now.mul_(of_h if later is None else torch.baddbmm(of_h, later, w))
            later = now
        return d, _rows(d).mT @ _rows(states[:-1]), None


class _GRUStack(torch.autograd.Function):
    """r, z = sigmoid(x + W h + b), n = tanh(x + r (W h + b)), h_t = (1 - z) n + z h_{t-1} of every replica."""

    @staticmethod
    def forward(
        ctx: Any, entering: Float[Tensor, "time stack batch gates"], w: Tensor, b: Tensor, start: Tensor
    ) -> Tensor:
        """All h."""
        size = start.shape[-1]
        states = torch.cat([start[None], entering.new_empty(*entering.shape[:-1], size)])
        back, gates, n = (
            torch.empty_like(entering),
            torch.empty_like(entering[..., size:]),
            torch.empty_like(states[1:]),
        )
        parts = [*_cut(entering, 2 * size), back, *_cut(back, 2 * size), gates, *gates.chunk(2, -1), n, states[1:]]
        h = start
        for x_rz, x_n, of_h, h_rz, h_n, rz, r, z, drawn, after in zip(*(part.unbind() for part in parts), strict=True):
            torch.baddbmm(b, h, w.mT, out=of_h)
            torch.add(x_rz, h_rz, out=rz).sigmoid_()
            torch.addcmul(x_n, r, h_n, out=drawn).tanh_()
            h = torch.lerp(drawn, h, z, out=after)
        ctx.save_for_backward(states, back, gates, n, w)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """From the last step to the first."""
        states, back, gates, n, w = ctx.saved_tensors
        (r, z), (_, h_n) = gates.chunk(2, -1), _cut(back, gates.shape[-1])
        into_n = (1 - z) * (1 - n.square())
        factors = torch.stack([into_n * h_n * r * (1 - r), (states[:-1] - n) * z * (1 - z), into_n * r], -2)
        d, of_h = torch.empty_like(factors), grad.clone()
        flat = d.flatten(-2)
        parts = [part.unbind() for part in (of_h, factors, d, flat, z)]
        for t, (total, factor, into, product, kept) in reversed([*enumerate(zip(*parts, strict=True))]):
            torch.mul(factor, total[..., None, :], out=into)
            if t:
                parts[0][t - 1].addcmul_(total, kept).baddbmm_(product, w)
        of_inputs = torch.cat([flat[..., : gates.shape[-1]], of_h * into_n], -1)
        rows = _rows(flat)
        return of_inputs, rows.mT @ _rows(states[:-1]), rows.sum(1, keepdim=True), None


class _LSTMStack(torch.autograd.Function):
    """i, f, o = sigmoid(x + W h), g = tanh(x + W h), c_t = f c_{t-1} + i g, h_t = o tanh c_t of every replica."""

    @staticmethod
    def forward(ctx: Any, entering: Float[Tensor, "time stack batch gates"], w: Tensor, start: Tensor) -> Tensor:
        """All h."""
        size = start.shape[-1]
        gates = torch.empty_like(entering)
        states, cells = (torch.cat([start[None], entering.new_empty(*entering.shape[:-1], size)]) for _ in range(2))
        seen = torch.empty_like(cells[1:])  # tanh c
        parts = [entering, gates, gates[..., : 2 * size], *gates.chunk(4, -1), cells[1:], seen, states[1:]]
        h = c = start
        for x, all_four, i_f, i, f, g, o, after, tanh_c, left in zip(*(part.unbind() for part in parts), strict=True):
            torch.baddbmm(x, h, w.mT, out=all_four)
            i_f.sigmoid_(), g.tanh_(), o.sigmoid_()
            c = torch.mul(f, c, out=after).addcmul_(i, g)
            h = torch.mul(o, torch.tanh(c, out=tanh_c), out=left)
        ctx.save_for_backward(states, cells, gates, seen, w)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """From the last step to the first."""
        states, cells, gates, seen, w = ctx.saved_tensors
        size = states.shape[-1]
        i, f, g, o = gates.chunk(4, -1)
        factors = torch.stack([g * i * (1 - i), cells[:-1] * f * (1 - f), i * (1 - g.square())], -2)
        into_o, into_c = seen * o * (1 - o), o * (1 - seen.square())
        d, of_h, of_c = torch.empty_like(gates), grad.clone(), torch.zeros_like(grad)
        parts = [
            of_h,
            of_c,
            factors,
            into_o,
            into_c,
            d,
            d[..., : 3 * size].unflatten(-1, (3, size)),
            d[..., 3 * size :],
        ]
        steps = [part.unbind() for part in (*parts, f)]
        for t, (h, c, factor, to_o, to_c, product, of_ifg, of_o, kept) in reversed(
            [*enumerate(zip(*steps, strict=True))]
        ):
            torch.mul(h, to_o, out=of_o)
            torch.mul(factor, c.addcmul_(h, to_c)[..., None, :], out=of_ifg)
            if t:
                steps[0][t - 1].baddbmm_(product, w)
                steps[1][t - 1].addcmul_(c, kept)
        return d, _rows(d).mT @ _rows(states[:-1]), None


STACKS: dict[str, Any] = {"Elman": _ElmanStack, "GRU": _GRUStack, "LSTM": _LSTMStack}


def _cut(tensor: Tensor, place: int) -> tuple[Tensor, Tensor]:
    """What lies before and after a place of the last dimension."""
    return tensor[..., :place], tensor[..., place:]
