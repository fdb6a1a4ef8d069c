"""Truncation bias against closed forms, and against full BPTT itself."""

import numpy as np
import pytest
import torch

from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.none import NoClip
from study.models import RecurrentModel
from study.probes.flow import gradient_flow
from study.probes.gradients import flat, gradient
from study.probes.truncation import missing, truncation_bias
from study.schema.model import MODELS
from study.tasks.contract import Batch
from study.verify.networks import MSE, linear, orthogonal
from tests.networks import batch, build
from tests.unrolled import CLOSELY

PLANS = [(None, None), (None, 1), (None, 5), (1, 4), (2, 5), (3, 50)]


def trainer(network: RecurrentModel, k1: int | None = None, k2: int | None = None) -> TruncatedBPTT:
    return TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), NoClip(), k1, k2)


def ragged() -> Batch:
    data = batch(12, 5, 3)
    return Batch(data.inputs, data.targets, torch.arange(12)[:, None] < torch.tensor([12, 9, 12, 7, 4]))


@pytest.mark.parametrize("data", [batch(12, 5, 3), ragged()], ids=["equal", "ragged"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("name", "plan"), [(n, p) for n in MODELS for p in (PLANS if n in CLOSELY else [(2, 5)])])
def test_windows_side_by_side_give_the_gradient_that_training_adds_up_one_after_the_other(
    name: str, layers: int, plan: tuple[int | None, int | None], data: Batch
) -> None:
    network, (k1, k2) = build(name, layers), plan
    trainer(network, k1, k2).backward(data)
    slow = flat([p.grad for p in network.parameters() if p.grad is not None])
    torch.testing.assert_close(gradient(network, MSE, data, k1, k2), slow, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_there_is_no_bias_when_gradients_flow_through_the_whole_sequence(name: str) -> None:
    found = truncation_bias(trainer(build(name)), batch(12, 4, 3), [3, 12, 50], 2)
    np.testing.assert_allclose(found.error[1:], 0, atol=1e-12)
    np.testing.assert_allclose(found.cosine[1:], 1, atol=1e-12)
    assert found.error[0] > 1e-3


def test_a_network_whose_state_is_not_read_has_no_bias() -> None:
    network = build("elman")
    next(network.core.recurrent_blocks()).matrix.data.zero_()
    np.testing.assert_allclose(truncation_bias(trainer(network), batch(12, 4, 3), [1, 3], 2).errors, 0, atol=1e-12)


@pytest.mark.parametrize("k2", [1, 3, 5])
def test_the_bias_of_a_linear_network_is_the_closed_form(k2: int) -> None:
    network, data = linear(0.9 * orthogonal(4)), batch(10, 3, 3)
    short, full = closed_form(network, data, k2), closed_form(network, data, 10)
    found = truncation_bias(trainer(network), data, [k2], 1)
    assert found.error[0] == pytest.approx(float((short - full).norm() / full.norm()), rel=1e-9)
    assert found.cosine[0] == pytest.approx(float(short @ full / short.norm() / full.norm()), rel=1e-9)
    np.testing.assert_allclose(found.errors[:, 0], found.error)


@torch.no_grad()
def closed_form(network: RecurrentModel, data: Batch, k2: int) -> torch.Tensor:
    """The gradient by the sum over losses t and steps j of t's block: (W^T)^(t-j) a_t times what enters step j."""
    core, head = network.core, network.head
    weight = core.get_parameter("weight")
    hidden = torch.cat([torch.zeros(1, 3, 4, dtype=torch.float64), core(data.inputs)[0]])
    slope = 2 * (network.decode(hidden[1:]) - data.targets) / 30
    recurrent, entering = torch.zeros_like(weight), torch.zeros(4, 3, dtype=torch.float64)
    for t in range(10):
        for j in range(t - t % k2, t + 1):
            sent = slope[t] @ head.weight @ torch.linalg.matrix_power(weight, t - j)
            recurrent += sent.T @ hidden[j]
            entering += sent.T @ data.inputs[j]
    own = torch.einsum("tbo,tbh->oh", slope, hidden[1:])
    return torch.cat([recurrent.flatten(), entering.flatten(), own.flatten(), slope.sum((0, 1))])


def test_the_whole_batch_is_the_mean_of_its_parts_and_parts_spread() -> None:
    network, data = build("gru"), ragged()
    split, whole = (truncation_bias(trainer(network), data, [2, 4], parts) for parts in (3, 1))
    np.testing.assert_allclose(split.error, whole.error)
    np.testing.assert_allclose(split.cosine, whole.cosine)
    assert split.columns()["error_spread"].min() > 0 == whole.columns()["error_spread"].max()


def test_the_trainings_own_truncation_is_looked_at_too_with_its_distance_between_updates() -> None:
    network, data = build("elman"), batch(12, 4, 3)
    own = truncation_bias(trainer(network, 1, 4), data, [8, 2], 2)
    blocks = truncation_bias(trainer(network), data, [2, 4, 8], 2)
    assert own.k2 == blocks.k2 == [2, 4, 8]
    assert (own.error < blocks.error).all()  # every loss reaches k2 - 1 steps back, in blocks half of that


@pytest.mark.parametrize("k1", [None, 1])
@pytest.mark.parametrize("data", [batch(12, 5, 3), ragged()], ids=["equal", "ragged"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_the_bias_never_exceeds_the_bound_which_falls_to_zero_where_nothing_is_cut_off(
    name: str, layers: int, data: Batch, k1: int | None
) -> None:
    found = truncation_bias(trainer(build(name, layers), k1), data, [1, 2, 4, 8, 12], 1)
    assert (found.error <= found.bound * (1 + 1e-9) + 1e-12).all()
    assert (np.diff(found.bound) < 0).all()
    assert found.bound[-1] == 0


def test_the_bound_of_a_linear_network_falls_as_the_closed_form_of_the_missing_lags() -> None:
    rho, time = 0.8, 12
    network, data = linear(rho * orthogonal(4)), batch(time, 3, 3)
    level = Batch(data.inputs, network(data.inputs)[0].detach() - 1.0)  # the same slope at every step
    found = truncation_bias(trainer(network), level, [1, 3, 5], 1)

    def tail(k2: int) -> float:
        return sum(rho**k for s in range(time) for k in range(s % k2 + 1, s + 1))

    np.testing.assert_allclose(found.bound / found.bound[0], [tail(k2) / tail(1) for k2 in (1, 3, 5)])
    flow = gradient_flow(network, MSE, level, time - 1, 3).joint
    sent = 2 * float(network.head.weight.detach().norm())  # || d loss / d h ||: the error is 1 everywhere
    assert missing(flow, level, None, 3) == pytest.approx(3 * sent * tail(3))
    assert missing(flow, level, 1, 3) == pytest.approx(3 * sent * sum((time - k) * rho**k for k in range(3, time)))


def test_the_constant_of_the_bound_is_no_larger_than_the_one_that_theory_knows() -> None:
    network, data = linear(0.8 * orthogonal(4)), batch(12, 3, 3)
    level = Batch(data.inputs, network(data.inputs)[0].detach() - 1.0)
    found = truncation_bias(trainer(network), level, [1, 3, 5], 1)
    hidden = torch.cat([torch.zeros(1, 3, 4).double(), network.core(data.inputs)[0]])[:-1].detach()
    largest = float(torch.cat([hidden, data.inputs], -1).norm(dim=-1).max())  # d h_t / d (W, V) is (h_{t-1}, x_t)
    flow = gradient_flow(network, MSE, level, 11, 3).joint
    full = float(gradient(network, MSE, level).norm())
    factor = found.bound[0] * full * level.steps / missing(flow, level, None, 1)
    assert 0 < factor <= largest
