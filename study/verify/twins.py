"""Measures against slow twins: one plain graph, one step and one sequence at a time, Jacobians in full.

A twin takes one step of one layer as a function, `Step`. For the classical cells it is their equations, written out
here; for every other core it is the core's own `step`.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.functional import jacobian

from study.learning.bptt import windows
from study.learning.exponents import TRANSIENT
from study.models import Core, RecurrentModel, State
from study.probes.backpropagated import backpropagated
from study.probes.flow import gradient_flow
from study.probes.gradients import flat, gradient
from study.probes.lyapunov import lyapunov
from study.schema.model import MODELS
from study.tasks.contract import Batch
from study.verify.check import Check
from study.verify.networks import MSE, data, random_network

HIDDEN, TIME, WIDTH = 5, 20, 2
LOST = -20.0
"""Nats. What is left of a direction that shrinks more in a single step is rounding, in float64 too."""

Step = Callable[[Core, int, Tensor, State], State]
"""(core, layer, what enters it, its state) -> its new state; h is computed from the very parts returned beside it."""


def own(core: Core, layer: int, inputs: Tensor, state: State) -> State:
    """The core's own step."""
    return core.step(layer, inputs, state)


def elman(core: Core, layer: int, inputs: Tensor, state: State) -> State:
    """H = tanh(a), a the sum of what comes from below and from the past."""
    x, h = _sums(core, layer, inputs, state)
    return (torch.tanh(x + h),)


def lstm(core: Core, layer: int, inputs: Tensor, state: State) -> State:
    """C = f c + i g, h = o tanh c."""
    x, h = _sums(core, layer, inputs, state)
    i, f, g, o = (x + h).chunk(4, -1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru(core: Core, layer: int, inputs: Tensor, state: State) -> State:
    """H = (1 - z) n + z h."""
    (xr, xz, xn), (hr, hz, hn) = (part.chunk(3, -1) for part in _sums(core, layer, inputs, state))
    z = (xz + hz).sigmoid()
    return ((1 - z) * torch.tanh(xn + (xr + hr).sigmoid() * hn) + z * state[0],)


EQUATIONS: dict[str, Step] = {"elman": elman, "lstm": lstm, "gru": gru}


def _sums(core: Core, layer: int, inputs: Tensor, state: State) -> tuple[Tensor, Tensor]:
    """What comes from below and what comes from the past, before any activation."""
    w, u, b, d = (core.get_parameter(f"{kind}_l{layer}") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    return inputs @ w.T + b, state[0] @ u.T + d


def advance(step: Step, core: Core, inputs: Tensor, states: Sequence[State]) -> list[State]:
    """One step of all layers, the lowest first."""
    after: list[State] = []
    for layer, state in enumerate(states):
        after.append(step(core, layer, inputs, state))
        inputs = core.above(inputs, after[-1][0])
    return after


def initial(core: Core, inputs: Tensor) -> list[State]:
    """The initial state, layer by layer."""
    state = core.initial_state(inputs)
    return [tuple(part[layer] for part in state) for layer in range(core.num_layers)]


def run(step: Step, network: RecurrentModel, inputs: Tensor, states: list[State]) -> tuple[Tensor, list[list[State]]]:
    """Outputs of the network at every step, and the states after it, all on one graph."""
    nodes: list[list[State]] = []
    for entering in network.encode(inputs):
        nodes.append(advance(step, network.core, entering, nodes[-1] if nodes else states))
    return network.decode(torch.stack([after[-1][0] for after in nodes])), nodes


def slow_flow(step: Step, network: RecurrentModel, batch: Batch) -> Float[np.ndarray, "lags layers parts samples"]:
    """Log norms of the gradient of every sequence's last loss in all states there were, a sequence at a time."""
    outputs, nodes = run(step, network, batch.inputs, initial(network.core, batch.inputs))
    losses = MSE.per_step(outputs[-1:], batch.targets[-1:])[0]
    norms = [_node_norms(loss, nodes)[..., sample] for sample, loss in enumerate(losses)]
    return np.stack(norms, -1)[::-1]


def slow_by_time(step: Step, network: RecurrentModel, batch: Batch) -> Float[np.ndarray, "time layers parts samples"]:
    """Log norms of the gradient of the whole batch's loss in all states there were."""
    outputs, nodes = run(step, network, batch.inputs, initial(network.core, batch.inputs))
    return _node_norms(MSE.per_step(outputs, batch.targets).mean(), nodes)


def _node_norms(loss: Tensor, nodes: list[list[State]]) -> Float[np.ndarray, "time layers parts samples"]:
    flat_nodes = [part for states in nodes for state in states for part in state]
    gradients = torch.autograd.grad(loss, flat_nodes, retain_graph=True, allow_unused=True, materialize_grads=True)
    norms = torch.stack([each.norm(dim=-1).log() for each in gradients])
    return norms.view(len(nodes), len(nodes[0]), len(nodes[0][0]), -1).numpy()


def slow_exponents(step: Step, network: RecurrentModel, inputs: Tensor) -> Float[np.ndarray, " exponents"]:
    """Of one sequence, by QR of the full Jacobian of every step; -inf from the first one on that a step loses.

    It is lost where the new state does not depend on some part of the old one, such as an h that is read out and not
    fed back, or where a gate closes.
    """
    core, start = network.core, initial(network.core, inputs[:, None])
    widths = [part.shape[-1] for part in start[0]]

    def after(state: Tensor, entering: Tensor) -> Tensor:
        layers = [layer[None].split(widths, -1) for layer in state.split(sum(widths))]
        return _end_to_end(advance(step, core, entering[None], layers))

    states = [_end_to_end(start).detach()]
    for entering in inputs:
        states.append(after(states[-1], entering).detach())
    size, skipped = len(states[0]), min(TRANSIENT, len(inputs) // 4)
    draws = torch.randn(size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions, steps = torch.linalg.qr(draws).Q, []
    for t in reversed(range(skipped, len(inputs))):
        full = jacobian(lambda state, t=t: after(state, inputs[t]), states[t], vectorize=True)
        directions, triangle = torch.linalg.qr(full.T @ directions)
        steps.append(triangle.diagonal().abs().log())
    shrunk = torch.stack(steps)
    # A lost direction goes on as a random one, and so do all after it, which have to be orthogonal to it.
    rates, lost = shrunk[skipped:].mean(0), (shrunk.amin(0) < LOST).cumsum(0) > 0
    floor = rates[lost].amax() + 1 if lost.any() else -torch.inf  # rounding may well be a nat longer or shorter
    return rates.where(rates > floor, -torch.inf).sort(descending=True).values.numpy()


def seen(rates: np.ndarray, slow: np.ndarray) -> np.ndarray:
    """Exponents, -inf where `slow_exponents` says that they are lost."""
    return np.where(np.isneginf(slow), -np.inf, rates)


def _end_to_end(states: Sequence[State]) -> Tensor:
    """All parts of all layers of one sequence, as one vector."""
    return torch.cat([part[0] for state in states for part in state])


def slow_gradient(
    step: Step, network: RecurrentModel, batch: Batch, k1: int | None = None, k2: int | None = None
) -> Float[Tensor, " parameters"]:
    """The gradient of the whole batch's loss in the parameters by BPTT(k2; k1), window after window."""
    total = torch.zeros((), dtype=batch.targets.dtype)
    for window in windows(len(batch.inputs), k1, k2):
        states = initial(network.core, batch.inputs)
        if window.start:
            with torch.no_grad():
                states = run(step, network, batch.inputs[: window.start], states)[1][-1]
        outputs, _ = run(step, network, batch.inputs[window.start : window.stop], states)
        counting = slice(window.first - window.start, None)
        total = total + MSE.per_step(outputs[counting], batch.targets[window.first : window.stop]).sum()
    mean = total / batch.steps
    return flat(torch.autograd.grad(mean, [*network.parameters()], allow_unused=True, materialize_grads=True))


def jacobians() -> Iterator[Check]:
    """Every fast measure of every architecture, one layer and three."""
    for name in MODELS:
        for layers in (1, 3):
            network = random_network(name, 1.5, HIDDEN, layers)
            yield from compare(EQUATIONS.get(name, own), network, f"{name}, layers: {layers}")


def compare(step: Step, network: RecurrentModel, of: str) -> Iterator[Check]:
    """The measures of one network beside their twins."""
    batch = data(TIME, WIDTH)
    flow, by_time = gradient_flow(network, MSE, batch, TIME - 1, WIDTH), backpropagated(network, MSE, batch)
    yield every_entry("log flow, every lag", of, slow_flow(step, network, batch), flow.log_norms, 1e-8)
    yield every_entry("log gradient, every step", of, slow_by_time(step, network, batch), by_time.log_norms, 1e-8)
    spectra = np.stack([slow_exponents(step, network, batch.inputs[:, i]) for i in range(WIDTH)])
    yield every_entry(
        "Lyapunov spectrum", of, spectra, seen(lyapunov(network, batch, None, WIDTH).rates, spectra), 1e-6
    )
    for k2 in (None, 7):
        slow, fast = slow_gradient(step, network, batch, None, k2), gradient(network, MSE, batch, None, k2)
        tolerance = 1e-10 * max(1.0, float(slow.abs().max()))
        yield every_entry(f"gradient, k2 = {k2 or 'T'}", of, slow.numpy(), fast.numpy(), tolerance)


def every_entry(measure: str, of: str, slow: np.ndarray, fast: np.ndarray, tolerance: float) -> Check:
    """All entries by their largest error, which stands beside one of them."""
    differing = slow != fast  # -inf is a value: a state that no later loss depends on has a gradient of zero
    worst, place = float(np.abs(slow[differing] - fast[differing]).max(initial=0.0)), slow.size // 2
    return Check(measure, of, float(slow.flat[place]), float(fast.flat[place]), tolerance, worst)
