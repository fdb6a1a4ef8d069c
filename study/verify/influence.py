"""Influence balancing: a system whose short truncations have the wrong sign (Tallec & Ollivier 2017, arXiv 1705.08209).

One scalar theta enters a chain of 23 units, h_t = A h_{t-1} + theta s, with A = 1/2 on the diagonal and above it, the
sign s + for the first 10 units and - for the other 13; the loss is (h_t[0] - 1)^2, and theta alone is learnt. Near in
time the + units reach unit 0, later the - units outweigh them:

    d h_t[0] / d theta over K steps = sum over j < K, i <= j of C(j, i) 2^-j s_i  ->  2 (10 - 13) = -6,

so that theta = -1/6 solves it and a truncation to few steps descends the wrong way. Sizes and theta_0 = 1/2 by way of
Vicol, Metz & Sohl-Dickstein 2021 (arXiv 2112.13835; code read). It is no experiment of this harness: a network there
has a head that is learnt, whose bias alone would solve it. `study.bench.truncation` trains the chain.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from study.learning.bptt import Carry, TruncatedBPTT
from study.models import Inputs, RecurrentModel, State
from study.models.cell import Cell, layered
from study.tasks.contract import Batch
from study.verify.check import Check
from study.verify.networks import MSE
from study.verify.rtrl import rtrl_gradient
from study.verify.spread import Listener

UNITS, POSITIVE = 23, 10
SETTLED = 400
"""Steps after which the chain is at rest, and no influence is missing."""


class Chain(Cell):
    """h_t = A h_{t-1} + theta s, whatever enters, from h_0 = 1 on; see the top of this file.

    Args:
        features: of what enters; nothing is made of it.
        hidden_size: units.
        positive: of them, those that theta enters with a plus.
    """

    sign: Tensor
    matrix: Tensor

    def __init__(self, features: int, hidden_size: int, positive: int) -> None:
        super().__init__(features, hidden_size)
        self.theta = nn.Parameter(torch.tensor([0.5]))
        signs = [torch.ones(positive), -torch.ones(hidden_size - positive)]
        self.register_buffer("sign", torch.cat(signs))
        self.register_buffer("matrix", 0.5 * (torch.eye(hidden_size) + torch.ones(hidden_size - 1).diag(1)))

    def step(self, inputs: Tensor, state: State) -> State:
        """See `Cell`."""
        return (state[0] @ self.matrix.T + self.theta * self.sign,)

    def initial(self, inputs: Tensor) -> State:
        """See `Cell`; ones."""
        return (inputs.new_ones(inputs.shape[0], self.hidden_size),)


def chain(units: int = UNITS, positive: int = POSITIVE) -> RecurrentModel:
    """The chain whose unit 0 is what leaves it; theta alone is learnt."""
    network = RecurrentModel(Inputs(1, tokens=False), layered(Chain)(1, units, positive=positive), 1).double()
    for parameter in network.head.parameters():
        parameter.requires_grad_(False).zero_()
    network.head.weight[0, 0] = 1.0
    return network


def theta(network: RecurrentModel) -> nn.Parameter:
    """The one parameter of a chain that is learnt."""
    return network.core.get_parameter("cells.0.theta")


def steady(steps: int) -> Batch:
    """A stream in which 1 is asked for at every step."""
    return Batch(torch.zeros(steps, 1, 1).double(), torch.ones(steps, 1, 1).double())


def slope(steps: int) -> float:
    """D h_t[0] / d theta over so many steps, in closed form."""
    signs = [1] * POSITIVE + [-1] * (UNITS - POSITIVE)
    return sum(math.comb(j, i) * sign / 2**j for j in range(steps) for i, sign in enumerate(signs) if i <= j)


def influence() -> Iterator[Check]:
    """What truncations take for the slope, by the trainer itself at rest, and the exact one forwards in time."""
    network, of = chain(), "influence balancing"
    with torch.no_grad():
        outputs, state = network(steady(SETTLED).inputs)
    error = 2 * (float(outputs[-1]) - 1)
    yield Check("at rest: 2 theta (p - n)", of, -3.0, float(outputs[-1]), 1e-9)
    for steps in (1, 10, 40, 41, 100):
        listener = Listener()
        rest = torch.optim.SGD([theta(network)], 0.0)
        trainer = TruncatedBPTT(network, MSE, rest, listener, None, steps)
        list(trainer.updates(_asked_last(steps), Carry(state, None)))
        found = float(listener.heard[0]) / error
        yield Check(f"slope seen over {steps} steps", of, slope(steps), found, 1e-9)
    short = _asked_last(30)
    with torch.no_grad():
        outputs, _ = network(short.inputs, network.core.initial_state(short.inputs))
    exact = float(rtrl_gradient(network, MSE, short)) / (2 * (float(outputs[-1]) - 1))
    yield Check("slope over 30 steps, forwards in time", of, slope(30), exact, 1e-9)
    yield Check("slope over all steps: 2 (p - n)", of, 2.0 * (2 * POSITIVE - UNITS), slope(SETTLED), 1e-9)


def _asked_last(steps: int) -> Batch:
    return steady(steps)._replace(mask=torch.arange(steps)[:, None] == steps - 1)
