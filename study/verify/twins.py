"""Metrics against slow twins: every architecture written out, differentiated by plain autograd, Jacobians in full."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad, jacrev

from study.models import RecurrentModel
from study.probes.backpropagated import backpropagated
from study.probes.flow import gradient_flow
from study.probes.gradients import flat, gradient
from study.probes.lyapunov import lyapunov
from study.tasks.contract import Batch
from study.verify.check import Check
from study.verify.networks import MSE, data, random_network

HIDDEN, TIME, WIDTH = 5, 20, 2
TRANSIENT = TIME // 4
"""What `study.probes.lyapunov` leaves out at either end of so short a path."""

State = list[Tensor]
"""(h) or (h, c) of one layer."""


def elman(x: Tensor, h: Tensor, state: State, nudge: Tensor) -> State:
    """H = tanh(a), a the sum of what comes from below and from the past."""
    return [torch.tanh(x + h) + nudge[0]]


def lstm(x: Tensor, h: Tensor, state: State, nudge: Tensor) -> State:
    """C = f c + i g, h = o tanh c."""
    i, f, g, o = (x + h).chunk(4, -1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh() + nudge[1]
    return [o.sigmoid() * c.tanh() + nudge[0], c]


def gru(x: Tensor, h: Tensor, state: State, nudge: Tensor) -> State:
    """H = (1 - z) n + z h."""
    (xr, xz, xn), (hr, hz, hn) = x.chunk(3, -1), h.chunk(3, -1)
    z = (xz + hz).sigmoid()
    return [(1 - z) * torch.tanh(xn + (xr + hr).sigmoid() * hn) + z * state[0] + nudge[0]]


CELLS: dict[str, Callable[[Tensor, Tensor, State, Tensor], State]] = {"elman": elman, "lstm": lstm, "gru": gru}
PARTS = {"elman": 1, "lstm": 2, "gru": 1}


def advance(name: str, network: RecurrentModel, inputs: Tensor, states: list[State], nudges: Tensor) -> list[State]:
    """One step of all layers; to every part of a state a nudge (layer, part) is added as it is made."""
    weights, after = dict(network.core.named_parameters()), []
    for layer, state in enumerate(states):
        w, u, b, d = (weights[f"{kind}_l{layer}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        after.append(CELLS[name](inputs @ w.T + b, state[0] @ u.T + d, state, nudges[layer]))
        inputs = after[-1][0]
    return after


def outputs(name: str, network: RecurrentModel, batch: Batch, nudges: Tensor, k2: int | None = None) -> Tensor:
    """What the head gives at every step; every k2 steps the states are cut off."""
    states = [[torch.zeros_like(part) for part in layer] for layer in nudges[0]]
    hidden = []
    for t, inputs in enumerate(batch.inputs):
        if k2 and t % k2 == 0:
            states = [[part.detach() for part in state] for state in states]
        states = advance(name, network, inputs, states, nudges[t])
        hidden.append(states[-1][0])
    return network.decode(torch.stack(hidden))


def slow_flow(name: str, network: RecurrentModel, batch: Batch) -> Float[np.ndarray, "lags layers parts samples"]:
    """Log norms of the full Jacobian of every sequence's last loss in all states there were."""
    nudges = still(name, network, batch)

    def losses(nudges: Tensor) -> Tensor:
        return MSE.per_step(outputs(name, network, batch, nudges)[-1:], batch.targets[-1:])[0]

    jacobian = jacrev(losses)(nudges)
    own = torch.stack([jacobian[sample, ..., sample, :] for sample in range(nudges.shape[-2])], -2)
    return own.norm(dim=-1).log().flip(0).detach().numpy()


def slow_by_time(name: str, network: RecurrentModel, batch: Batch) -> Float[np.ndarray, "time layers parts samples"]:
    """Log norms of the gradient of the whole batch's loss in all states there were."""

    def loss(nudges: Tensor) -> Tensor:
        return MSE.per_step(outputs(name, network, batch, nudges), batch.targets).mean()

    return grad(loss)(still(name, network, batch)).norm(dim=-1).log().detach().numpy()


def slow_exponents(name: str, network: RecurrentModel, inputs: Tensor) -> Float[np.ndarray, " exponents"]:
    """Of one sequence, by QR of the full Jacobian of every step."""
    shape = network.core.num_layers, PARTS[name], HIDDEN
    states = [torch.zeros(shape, dtype=torch.float64)]

    def after(state: Tensor, entering: Tensor) -> Tensor:
        new = advance(name, network, entering, [[*layer] for layer in state], torch.zeros_like(state))
        return torch.stack([torch.stack(parts) for parts in new])

    for entering in inputs:
        states.append(after(states[-1], entering).detach())
    size = states[0].numel()
    draws = torch.randn(size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions, total = torch.linalg.qr(draws).Q, torch.zeros(size, dtype=torch.float64)
    for t in reversed(range(TRANSIENT, len(inputs))):
        jacobian = jacrev(after)(states[t], inputs[t]).reshape(size, size)
        directions, triangle = torch.linalg.qr(jacobian.T @ directions)
        total = total + (t < len(inputs) - TRANSIENT) * triangle.diagonal().abs().log()
    return (total / (len(inputs) - 2 * TRANSIENT)).sort(descending=True).values.detach().numpy()


def slow_gradient(name: str, network: RecurrentModel, batch: Batch, k2: int | None) -> Float[Tensor, " parameters"]:
    """The gradient of the whole batch's loss in the parameters, states cut off every k2 steps."""
    loss = MSE.per_step(outputs(name, network, batch, still(name, network, batch), k2), batch.targets).mean()
    return flat(torch.autograd.grad(loss, [*network.parameters()]))


def still(name: str, network: RecurrentModel, batch: Batch) -> Float[Tensor, "time layers parts batch hidden"]:
    """No nudge anywhere."""
    shape = len(batch.inputs), network.core.num_layers, PARTS[name], batch.inputs.shape[1], network.core.hidden_size
    return torch.zeros(shape, dtype=torch.float64)


def jacobians() -> Iterator[Check]:
    """Every fast measure of every architecture, one layer and three."""
    for name in CELLS:
        for layers in (1, 3):
            yield from _compared(name, random_network(name, 1.5, HIDDEN, layers), f"{name}, layers: {layers}")


def _compared(name: str, network: RecurrentModel, of: str) -> Iterator[Check]:
    batch = data(TIME, WIDTH)
    flow, by_time = gradient_flow(network, MSE, batch, TIME - 1, WIDTH), backpropagated(network, MSE, batch)
    yield _worst("log flow, every lag", of, slow_flow(name, network, batch), flow.log_norms, 1e-8)
    yield _worst("log gradient, every step", of, slow_by_time(name, network, batch), by_time.log_norms, 1e-8)
    spectra = np.stack([slow_exponents(name, network, batch.inputs[:, i]) for i in range(WIDTH)])
    yield _worst("Lyapunov spectrum", of, spectra, lyapunov(network, batch, None, WIDTH).rates, 1e-6)
    for k2 in (None, 7):
        slow, fast = slow_gradient(name, network, batch, k2), gradient(network, MSE, batch, None, k2)
        yield _worst(f"gradient, k2 = {k2 or 'T'}", of, slow.numpy(), fast.numpy(), 1e-10)


def _worst(measure: str, of: str, slow: np.ndarray, fast: np.ndarray, tolerance: float) -> Check:
    """All entries by their largest error, which stands beside one of them."""
    worst, place = float(np.abs(slow - fast).max()), slow.size // 2
    return Check(measure, of, float(slow.flat[place]), float(fast.flat[place]), tolerance, worst)
