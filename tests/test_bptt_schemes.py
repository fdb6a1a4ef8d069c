"""Truncations that choose: k2 follows the gradients; exact RTRL is the referee of all."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from study.errors import ConfigError
from study.learning.bptt import Carry, TruncatedBPTT
from study.learning.bptt.adaptive import AdaptiveBPTT
from study.learning.bptt.artbp import ARTBP
from study.learning.bptt.bias import fewest_lags, gradients_by_lag, position
from study.models import Cell, Inputs, RecurrentModel
from study.models.cell import layered
from study.models.contract import State
from study.probes.gradients import gradient
from study.schema import Config
from study.schema.model import MODELS
from study.schema.probe import PROBES
from study.tasks.contract import Batch
from study.testing.probes import full_plan, ragged
from study.verify.networks import MSE, data, linear, orthogonal, random_network
from study.verify.rtrl import diagonal_rtrl_gradient, rtrl_gradient
from study.verify.spread import Listener, spread
from tests.unrolled import FEATURES, MEAN, SUM, Spy, assert_equal, build, make

pytestmark = pytest.mark.usefixtures("double_precision")
Configure = Callable[..., Config]


def adaptive(network: RecurrentModel, loss: Any = MEAN, lr: float = 0.0, **plan: Any) -> tuple[AdaptiveBPTT, Spy]:
    spy = Spy()
    return AdaptiveBPTT(network, loss, torch.optim.SGD(network.parameters(), lr=lr), spy, **plan), spy


def level(network: RecurrentModel, time: int) -> Batch:
    """Data with the same slope at every step of every sequence."""
    batch = data(time, 3)
    return Batch(batch.inputs, network(batch.inputs)[0].detach() - 1.0)


def chosen(rho: float, delta: float, stream: int | None = None, k1: int = 1, turned: bool = False) -> int:
    network = linear(rho * (orthogonal(4) if turned else torch.eye(4)))
    plan: dict[str, Any] = {"delta": delta, "k2_min": k1, "k2_max": 40, "k1": k1, "stream": stream}
    trainer, _ = adaptive(network, **plan)
    list(trainer.updates(level(network, 60)))
    assert trainer.k2 is not None
    return trainer.k2


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("delta", [0.9, 0.5, 0.1])
def test_k2_is_the_one_of_theory_where_gradients_shrink_by_rho(rho: float, delta: float) -> None:
    """W = rho I: phi_k = rho^k, g_K = (1 - rho^K) / (1 - rho), so delta_K <= rho^K / (1 - 2 rho^41), R being 40."""
    theory = math.ceil(math.log(delta * (1 - 2 * rho**41)) / math.log(rho))
    assert chosen(rho, delta, stream=60) == theory
    assert chosen(rho, delta) == theory  # the whole sequence has so many lags that the missing tail is nothing
    assert chosen(rho, delta, stream=60, k1=3) == max(3, theory + 2)


@pytest.mark.parametrize("delta", [0.5, 0.1])
def test_k2_grows_with_how_long_gradients_last_and_with_what_is_asked(delta: float) -> None:
    found = [chosen(rho, delta, stream=60, turned=True) for rho in (0.1, 0.5, 0.8, 0.9, 0.99)]
    assert found == sorted(found)
    assert found[0] < 5 < found[3] < found[4] == 40  # 0.99^40 is no small share: no k2 is within delta
    assert chosen(0.8, 0.05, stream=60, turned=True) > found[2]


@pytest.mark.parametrize("name", MODELS)
def test_gradients_by_lag_are_those_of_autograd_through_single_steps(name: str) -> None:
    network, batch, lags = build(name), make("padded", time=11), 4
    last = position(batch)
    assert last == 4  # of 9, 5 and 1 steps two sequences count up to there
    state: State | None = None
    states = []
    for t in range(last + 1):
        hidden, state = network.core(batch.inputs[t : t + 1], state)
        for part in state:
            part.retain_grad()
        states.append(state)
    step = batch.between(last, last + 1)
    MEAN.total(network.decode(hidden), step.targets, step.mask).backward()
    slopes = [[torch.zeros_like(p) if p.grad is None else p.grad for p in s] for s in states[-1 - lags : -1]]
    rows = [torch.cat([part.transpose(0, 1).flatten(1) for part in lag], 1)[:2] for lag in slopes]
    phi, norms = gradients_by_lag(network, MEAN, batch.between(0, last + 1), None, lags)
    assert len(phi) == len(norms) == lags + 1
    np.testing.assert_allclose(phi[1:], [float(row.norm(dim=1).mean()) for row in reversed(rows)])
    steps = norms[0] ** 2 + sum(float(row.mean(0).norm()) ** 2 for row in rows)
    assert norms[-1] ** 2 != pytest.approx(steps)  # vectors are added, not norms


@pytest.mark.parametrize("last", [5.0, 9.0, math.inf])
def test_beyond_what_is_measured_gradients_are_taken_to_shrink_on_at_their_rate(last: float) -> None:
    rho = 0.7
    phi, sums = rho ** np.arange(6), np.cumsum(rho ** np.arange(6))
    many = np.append(rho ** np.arange(200), 0)[: int(min(last, 200)) + 1]
    missing = np.array([many[k:].sum() for k in range(20)])
    for delta in (0.9, 0.3, 0.1, 0.03):
        within = [k for k in range(1, 13) if missing[k] <= delta * (sums - missing[1:7]).max()]
        assert fewest_lags(phi, sums, delta, 12, last) == (within[0] if within else 12)


@pytest.mark.parametrize("bad", [[math.nan] * 4, [1.0, math.inf, 1.0, 1.0], [1.0, 2.0, 4.0, 8.0], [1.0]])
def test_where_no_number_of_lags_is_known_to_do_the_most_are_taken(bad: list[float]) -> None:
    assert fewest_lags(np.array(bad), np.cumsum(bad), 0.5, 30, math.inf) == 30


def test_a_state_that_is_not_read_again_needs_one_lag() -> None:
    assert fewest_lags(np.array([1.0, 0.0, 0.0, 0.0]), np.ones(4), 0.1, 30, math.inf) == 1


class Told(AdaptiveBPTT):
    """Takes the numbers it is told, one after the other."""

    told: Iterator[int]

    def _choose(self, batch: Batch, carry: Carry | None) -> int:
        return next(self.told)


@pytest.mark.parametrize("stream", [None, 4])
def test_with_any_k2_it_trains_as_truncated_bptt_of_that_k2_does(stream: int | None) -> None:
    batch, seen = make(time=12), []
    for k2s in (None, (7, 7, 7), (9, 7, 7)):
        torch.manual_seed(0)
        network, spy = build("gru"), Spy()
        rest = torch.optim.SGD(network.parameters(), lr=0.0)
        trainer = TruncatedBPTT(network, MEAN, rest, spy, 2, 7, stream=stream)
        if k2s is not None:
            trainer = Told(network, MEAN, rest, spy, 0.5, 2, 9, 2, every=1, stream=stream)
            trainer.told = iter(k2s)
        carry: Carry | None = None
        for first in range(0, 12, stream or 12):
            updates = trainer.updates(batch.between(first, first + (stream or 12)), carry)
            k2 = [update.records.get("bptt/k2") for update in updates]
            carry = trainer.carry if stream else None
        seen.append(spy.seen[-4:])
        assert set(k2) == {None} if k2s is None else {float(trainer.k2 or 0)}
    for one, other in zip(seen[0], seen[1], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    if stream:  # the first batch was read with a longer one, whose surplus is given up
        for one, other in zip(seen[0], seen[2], strict=True):
            assert_equal(one, other)


def test_k2_is_chosen_before_the_first_update_and_then_once_in_so_many() -> None:
    network = build("gru")
    trainer = Told(network, MEAN, torch.optim.SGD(network.parameters(), lr=0.0), Spy(), k2_min=2, k1=2, every=7)
    trainer.told = iter((4, 6, 8))
    found = [float(update.records["bptt/k2"]) for _ in range(6) for update in trainer.updates(make(time=8))]
    assert found == [4.0] * 8 + [6.0] * 8 + [8.0] * 8  # four updates a batch, and none within a batch


class Independent(Cell):
    """h' = tanh(u h + W x + b), unit by unit."""

    def __init__(self, features: int, hidden_size: int):
        super().__init__(features, hidden_size)
        self.entering = nn.Linear(features, hidden_size)
        self.kept = nn.Parameter(torch.linspace(0.2, 0.9, hidden_size))

    def step(self, inputs: Tensor, state: State) -> State:
        return ((self.kept * state[0] + self.entering(inputs)).tanh(),)


@pytest.mark.parametrize("loss", [MEAN, SUM])
def test_exact_forward_gradients_of_a_ragged_batch_are_those_of_full_bptt(loss: Any) -> None:
    """Of every architecture, see `study.verify.truncations`."""
    network, batch = build("lstm"), make("padded", time=5)
    expected = gradient(network, loss, batch)
    torch.testing.assert_close(rtrl_gradient(network, loss, batch), expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("mask", [None, "padded"])
def test_where_units_do_not_mix_a_trace_of_the_size_of_the_parameters_does(mask: str | None) -> None:
    network, batch = RecurrentModel(Inputs(FEATURES, tokens=False), layered(Independent)(FEATURES, 5), 2), make(mask)
    found = diagonal_rtrl_gradient(network, MEAN, batch)
    torch.testing.assert_close(found, gradient(network, MEAN, batch), rtol=1e-10, atol=1e-13)
    with pytest.raises(ValueError, match="one part"):
        diagonal_rtrl_gradient(build("lstm", 1), MEAN, batch)


def test_bias_and_variance_are_those_of_truncated_bptt_and_of_random_cuts() -> None:
    network = random_network("elman", 1.2, 5)
    batches = [data(8, 2)._replace(targets=data(8, 2).targets + i) for i in range(20)]
    exact = torch.stack([rtrl_gradient(network, MSE, batch) for batch in batches])
    rest = torch.optim.SGD(network.parameters(), 0.1)
    cut = torch.stack([gradient(network, MSE, batch, k2=2) for batch in batches])
    blocks = spread(TruncatedBPTT(network, MSE, rest, Listener(), k2=2), batches, exact)
    assert blocks.bias == pytest.approx(float((cut.mean(0) - exact.mean(0)).norm() / exact.mean(0).norm()))
    whole = spread(TruncatedBPTT(network, MSE, rest, Listener()), batches, exact)
    assert whole.bias < 1e-12
    scatter = (exact - exact.mean(0)).square().sum(1).mean() / exact.mean(0).norm() ** 2
    assert whole.variance == pytest.approx(float(scatter))
    random = spread(ARTBP(network, MSE, rest, Listener(), 3, None, 1), batches, exact)
    assert random.bias < 3 * random.error
    assert random.variance > whole.variance


@pytest.mark.parametrize("kind", [ARTBP, AdaptiveBPTT])
@pytest.mark.parametrize("probe", PROBES)
def test_every_probe_measures_what_trains_by_it(kind: type[TruncatedBPTT], probe: str) -> None:
    network = random_network("gru", 1.2, 5)
    trainer = kind(network, MSE, torch.optim.Adam(network.parameters(), 0.01), Spy())
    list(trainer.updates(ragged()))
    before = trainer.state_dict()
    assert PROBES.implementation(probe).measure(full_plan(probe), trainer, ragged()).scalars() is not None
    for key, value in trainer.state_dict().items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(before[key]))


REFUSED = {
    "bptt=adaptive bptt.k1=6": "bptt: k1=6 must not exceed k2_min=5",
    "bptt=adaptive bptt.k2_min=50": "bptt: k2_min=50 must be below k2_max=50",
    "bptt=adaptive bptt.delta=1": "bptt.delta = 1",
    "bptt=adaptive bptt.delta=0": "bptt.delta = 0",
    "bptt=adaptive task=forecasting_adding task.seq_len=20": "bptt.k2_max = 50: sequences of task=forecasting_adding",
    "bptt=artbp task=forecasting_adding task.seq_len=10": "bptt.length = 20: sequences of task=forecasting_adding",
    "bptt=artbp bptt.block=20": "bptt: block=20 must be below length=20",
    "bptt=artbp bptt.alpha=2": "bptt.alpha = 2",
    "bptt=artbp bptt.update=sequence task=language_bible_char": "bptt.update = 'sequence': task=language_bible_char",
    "bptt=adaptive task=labelling_porttinari_pos model.bidirectional=true": "bptt = adaptive: it cuts every sequence",
    "bptt=artbp task=labelling_porttinari_pos model.bidirectional=true": "bptt = artbp: it cuts every sequence",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_what_makes_no_sense_is_refused_with_the_reason(configure: Configure, typed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configure(*typed.split())
    assert REFUSED[typed] in str(refused.value)
