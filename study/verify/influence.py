"""Influence balancing: a system whose short truncations have the wrong sign (Tallec & Ollivier 2017, arXiv 1705.08209).

One scalar theta enters a chain of 23 units, `study.verify.chain`, with a plus at the first 10 units and a minus at the
other 13; the loss is (h_t[0] - 1)^2, and theta alone is learnt. Near in time the + units reach unit 0, later the -
units outweigh them:

    d h_t[0] / d theta over K steps = sum over j < K, i <= j of C(j, i) 2^-j s_i  ->  2 (10 - 13) = -6,

so that theta = -1/6 solves it and a truncation to few steps descends the wrong way. Sizes and theta_0 = 1/2 by way of
Vicol, Metz & Sohl-Dickstein 2021 (arXiv 2112.13835; code read). `study.bench.truncation` trains the chain as it is,
`conf/experiment/adaptive_truncation.yaml` with a head that is learnt too.
"""

import math
from collections.abc import Iterator

import torch
from torch import nn

from study.learning.bptt import Carry, TruncatedBPTT
from study.models import Inputs, RecurrentModel
from study.models.cell import layered
from study.tasks.contract import Batch
from study.verify.chain import Chain
from study.verify.check import Check
from study.verify.networks import MSE
from study.verify.rtrl import rtrl_gradient
from study.verify.spread import Listener

UNITS, POSITIVE = 23, 10
SETTLED = 400
"""Steps after which the chain is at rest, and no influence is missing."""


def chain(units: int = UNITS, positive: int = POSITIVE) -> RecurrentModel:
    """The chain whose unit 0 is what leaves it; theta alone is learnt."""
    core = layered(Chain)(1, 1, units=units, positive=positive)
    network = RecurrentModel(Inputs(1, tokens=False), core, 1).double()
    nn.init.ones_(network.head.requires_grad_(False).weight)
    nn.init.zeros_(network.head.bias)
    return network


def theta(network: RecurrentModel) -> nn.Parameter:
    """The one parameter of a chain that is learnt."""
    return network.core.get_parameter("cells.0.raw_theta")


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
