"""Exact gradients forward in time: real-time recurrent learning (Williams & Zipser 1989).

    S_t = (d s_t / d s_{t-1}) S_{t-1} + d s_t / d theta at fixed s_{t-1},      S_0 = 0
    gradient = sum_t (d loss_t / d s_{t-1}) S_{t-1} + d loss_t / d theta at fixed s_{t-1}

S_t = d s_t / d theta is the influence of the parameters on the state, which no truncation cuts and no graph outlives.
One step is differentiated at a time, so it knows nothing of windows: the referee of everything that goes backwards.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from study.learning.losses import Loss
from study.models import RecurrentModel, State
from study.tasks.contract import Batch


def rtrl_gradient(network: RecurrentModel, loss: Loss, batch: Batch) -> Float[Tensor, " parameters"]:
    """The gradient of a batch's loss, from the zero state; states x parameters numbers are kept, so for small nets.

    Args:
        network: without dropout, and without a learnt initial state.
        loss: normalised over the batch.
        batch: sequences.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    gradient = _flat(parameters).new_zeros(sum(p.numel() for p in parameters))
    influence: Tensor | None = None
    for before, after, total in _single_steps(network, loss, batch):
        own, carried = _split(_slopes(total, [*before, *parameters]), before)
        ends = _flat(after)
        rows = [_split(_slopes(end, [*before, *parameters]), before) for end in ends]
        direct, jacobian = (torch.stack(part) for part in zip(*rows, strict=True))
        gradient += own if influence is None else own + carried @ influence
        influence = direct if influence is None else direct + jacobian @ influence
    return gradient / loss.normaliser(batch.targets.shape[1], batch.steps)


def diagonal_rtrl_gradient(network: RecurrentModel, loss: Loss, batch: Batch) -> Float[Tensor, " parameters"]:
    """The same for one layer whose units do not mix: a trace as large as the parameters is all that is kept.

    Unit i of the next state depends on unit i of the state alone, and on rows i, i + hidden, .. of every parameter of
    the core, so d s_t / d s_{t-1} is a diagonal and S_t has one number a parameter and sequence (Mozer 1989).

    Raises:
        ValueError: the core has several layers, or several parts of a state.
    """
    if network.core.num_layers > 1 or len(network.core.state_parts) > 1:
        raise ValueError("a diagonal trace is for one layer with one part of a state")
    width = batch.targets.shape[1]
    each = [batch.map(lambda tensor, b=b: tensor[:, b : b + 1]) for b in range(width)]  # type: ignore[misc]
    return torch.stack([_trace(network, loss, one) for one in each]).sum(0) / loss.normaliser(width, batch.steps)


def _trace(network: RecurrentModel, loss: Loss, one: Batch) -> Tensor:
    """The undivided gradient of one sequence."""
    core, rest = list(network.core.parameters()), list(network.head.parameters())
    traces, found = [torch.zeros_like(p) for p in core], [torch.zeros_like(p) for p in (*core, *rest)]
    for before, after, total in _single_steps(network, loss, one):
        carried, *own = _slopes(total, [*before, *core, *rest])
        diagonal, *direct = _slopes(after[0].sum(), [*before, *core])
        through = [_by_row(carried, trace) * trace for trace in traces]
        torch._foreach_add_(found, own)
        torch._foreach_add_(found[: len(core)], through)
        traces = [_by_row(diagonal, trace) * trace + new for trace, new in zip(traces, direct, strict=True)]
    return _flat(found)


def _slopes(of: Tensor, at: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Gradients, zeros where there is no way; the graph stays for others."""
    return torch.autograd.grad(of, at, retain_graph=True, allow_unused=True, materialize_grads=True)


def _single_steps(network: RecurrentModel, loss: Loss, batch: Batch) -> Iterator[tuple[State, State, Tensor]]:
    """The state before every step, a leaf; the state after it; its loss, undivided."""
    state = tuple(part.detach() for part in network.core.initial_state(network.encode(batch.inputs)))
    for t in range(len(batch.targets)):
        before = tuple(part.detach().requires_grad_() for part in state)
        step = batch.between(t, t + 1)
        outputs, state = network(step.inputs, before)
        yield before, state, loss.total(outputs, step.targets, step.mask)


def _split(gradients: Sequence[Tensor], before: State) -> tuple[Tensor, Tensor]:
    """Those in the parameters, and those in the state."""
    return _flat(gradients[len(before) :]), _flat(gradients[: len(before)])


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _by_row(units: Float[Tensor, "one one hidden"], parameter: Tensor) -> Tensor:
    """A number a unit, beside every row of a parameter that belongs to it."""
    rows = units.flatten().repeat(len(parameter) // units.numel())
    return rows.view(-1, *[1] * (parameter.ndim - 1))
