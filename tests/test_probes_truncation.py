"""Truncation bias against closed forms, and against full BPTT itself."""

import numpy as np
import pytest
import torch

from study.bptt import TruncatedBPTT
from study.clipping import NoClip
from study.models import RecurrentModel
from study.probes.truncation import truncation_bias
from study.tasks.contract import Batch
from study.verify import MSE, linear, orthogonal
from tests.networks import batch, build


def trainer(network: RecurrentModel) -> TruncatedBPTT:
    return TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), NoClip())


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_there_is_no_bias_when_gradients_flow_through_the_whole_sequence(name: str) -> None:
    found = truncation_bias(trainer(build(name)), batch(12, 4, 3), [3, 12, 50], 2)
    np.testing.assert_allclose(found.error[1:], 0, atol=1e-12)
    np.testing.assert_allclose(found.cosine[1:], 1, atol=1e-12)
    assert found.error[0] > 1e-3


def test_a_network_whose_state_is_not_read_has_no_bias() -> None:
    network = build("elman")
    network.core.get_parameter("weight_hh_l0").data.zero_()
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
    network, data = build("gru"), batch(12, 5, 3)
    data = Batch(data.inputs, data.targets, torch.arange(12)[:, None] < torch.tensor([12, 9, 12, 7, 4]))
    split, whole = (truncation_bias(trainer(network), data, [2, 4], parts) for parts in (3, 1))
    np.testing.assert_allclose(split.error, whole.error)
    np.testing.assert_allclose(split.cosine, whole.cosine)
    assert split.columns()["error_spread"].min() > 0 == whole.columns()["error_spread"].max()
