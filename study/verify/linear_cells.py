r"""Cells that are linear in their state: flow and exponents are products and mean logarithms of gates.

For m_t = a_t m_{t-1} + b_t with the loss at step s, entry by entry:

    dL/dm_{s-k} = dL/dm_s  a_s a_{s-1} .. a_{s-k+1},      lambda_i = mean over t of log |a_{t,i}|.

The gates are worked out here from the parameters, by the formulas of the papers.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study.learning.exponents import TRANSIENT
from study.models import Inputs, RecurrentModel, core_class
from study.probes.flow import gradient_flow
from study.probes.lyapunov import lyapunov
from study.tasks.contract import Batch
from study.verify.check import Check
from study.verify.networks import FEATURES, MSE, data
from study.verify.twins import every_entry

STEPS, SEQUENCES = 160, 3


def rotations() -> Iterator[Check]:
    """LRU: whatever the angles, what is left of an entry is |lambda|^k, and its exponent, twice, log |lambda|."""
    network, batch = _network("lru", 3), data(STEPS, SEQUENCES)
    cell = _parameters(network)
    cell["nu"].copy_(torch.tensor([0.8, 0.5, 0.3]).double().log().neg().log())
    kept = torch.tensor([0.8, 0.5, 0.3] * 2).double().expand(STEPS, SEQUENCES, -1)
    yield from _diagonal("lru", network, batch, kept, _slope(network, batch) @ cell["C"])


def update_gates() -> Iterator[Check]:
    """minGRU: 1 - z."""
    network, batch = _network("mingru", 4), data(STEPS, SEQUENCES)
    k = _preactivations(network, batch, [3.0, 1.0, -1.0, -3.0])
    yield from _diagonal("mingru", network, batch, 1 - 1 / (1 + (-k).exp()), _slope(network, batch))


def forget_gates() -> Iterator[Check]:
    """minLSTM: f / (f + i)."""
    network, batch = _network("minlstm", 4), data(STEPS, SEQUENCES)
    k = _preactivations(network, batch, [3.0, 1.0, -1.0, -3.0, -1.0, 0.0, 0.0, 1.0])
    f, i = (1 / (1 + (-k).exp())).chunk(2, -1)
    yield from _diagonal("minlstm", network, batch, f / (f + i), _slope(network, batch))


def selections() -> Iterator[Check]:
    """The selective cell: exp(Delta A), A = -1 and -2 in both units; S is read by C."""
    network, batch = _network("selective", 2, state_size=2), data(STEPS, SEQUENCES)
    cell = _parameters(network)
    cell["W.weight"][2:4] *= 0.2
    cell["W.bias"][2:4] = torch.tensor([-0.5, 2.0])
    rates = torch.tensor([1.0, 2.0]).double()
    cell["log_A"].copy_(rates.log().expand(2, 2))
    projected = batch.inputs @ cell["W.weight"].T + cell["W.bias"]
    delta = (1 + projected[..., 2:4].exp()).log()
    kept = (-delta[..., None] * rates).exp().flatten(-2)
    read = projected[-1, :, 6:8]
    slope = (_slope(network, batch)[:, :, None] * read[:, None, :]).flatten(1)
    yield from _diagonal("selective", network, batch, kept, slope)


def one_key() -> Iterator[Check]:
    """DeltaNet that reads the same at every step: along its key S keeps 1 - beta, which may be negative, else all."""
    for negative, push in ((False, 0.0), (True, -1.0), (True, 1.5)):
        network = _network("deltanet", 2, key_size=3, negative=negative)
        batch = _constant(data(STEPS, SEQUENCES))
        cell = _parameters(network)
        cell["beta.weight"].zero_()
        cell["beta.bias"].fill_(push)
        kept = 1 - (1 + negative) / (1 + np.exp(-push))
        _, k, q = (batch.inputs[0] @ cell["W.weight"].T + cell["W.bias"]).split((2, 3, 3), -1)
        k, q = (x / x.square().sum(-1, keepdim=True).sqrt() for x in (k, q))
        # dL/dS = slope q^T; what of it lies along k is kept as a share, what is orthogonal to k is kept
        along, size = (k * q).sum(-1), _slope(network, batch).norm(dim=-1)
        lags = torch.arange(21).double()[:, None]
        left = size * ((1 - along**2) + along**2 * abs(kept) ** (2 * lags)).sqrt()
        of = f"deltanet, 1 - beta = {kept:.2f}"
        yield _flow(of, network, batch, left.log())
        yield _exponents(of, network, batch, np.repeat([0.0, np.log(abs(kept))], [4, 2]))


def _diagonal(of: str, network: RecurrentModel, batch: Batch, kept: Tensor, slope: Tensor) -> Iterator[Check]:
    """Flow and exponents of a memory of which `kept` (time, batch, width) is left at every step."""
    products = torch.cat([torch.ones_like(kept[:1]), kept.flip(0).cumprod(0)])[:21]
    yield _flow(of, network, batch, (slope * products).norm(dim=-1).log())
    counted = kept[TRANSIENT:-TRANSIENT].log().mean(0)
    yield _exponents(of, network, batch, counted.mean(0).sort(descending=True).values.numpy())


def _flow(of: str, network: RecurrentModel, batch: Batch, expected: Tensor) -> Check:
    """Of the memory, 20 lags, every sequence."""
    found = gradient_flow(network, MSE, batch, 20, SEQUENCES).memory.log_norms
    return every_entry("log flow of the memory, every lag", of, expected.numpy(), found, 1e-12)


def _exponents(of: str, network: RecurrentModel, batch: Batch, expected: np.ndarray) -> Check:
    """The largest, as many as the memory has entries."""
    found = lyapunov(network, batch, None, SEQUENCES).exponents[: len(expected)]
    return every_entry("Lyapunov exponents of the memory", of, expected, found, 1e-6)


def _network(name: str, hidden_size: int, **options: Any) -> RecurrentModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        core = core_class(name)(FEATURES, hidden_size, 1, **options)
        return RecurrentModel(Inputs(FEATURES, tokens=False), core, 1).double()


def _parameters(network: RecurrentModel) -> dict[str, Tensor]:
    """Those of the one cell, to look at and to write to."""
    return {name.removeprefix("cells.0."): p.data for name, p in network.core.named_parameters()}


def _preactivations(network: RecurrentModel, batch: Batch, biases: list[float]) -> Tensor:
    """W x + b of the first gates, their biases set so far apart that every unit has an exponent of its own."""
    cell, count = _parameters(network), len(biases)
    cell["W.bias"][:count] = torch.tensor(biases)
    cell["W.weight"][:count] *= 0.2
    return batch.inputs @ cell["W.weight"][:count].T + cell["W.bias"][:count]


def _constant(batch: Batch) -> Batch:
    """The same inputs at every step."""
    return Batch(batch.inputs[:1].expand_as(batch.inputs), batch.targets)


@torch.no_grad()
def _slope(network: RecurrentModel, batch: Batch) -> Tensor:
    """The gradient of the last step's loss in its h, (batch, hidden)."""
    return 2 * (network(batch.inputs)[0][-1] - batch.targets[-1]) * network.head.weight
