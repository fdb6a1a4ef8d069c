"""Gradient flow against closed forms in float64; `study.testing.cores` holds it against full Jacobians."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from study.probes.flow import Flow, Profile, gradient_flow, reachable
from study.tasks.contract import Batch
from study.verify.networks import MSE, linear, orthogonal
from tests.networks import batch, build


@pytest.mark.parametrize("rho", [0.5, 0.9, 1.0, 1.1])
def test_a_scaled_orthogonal_linear_network_has_exactly_the_flow_rho_to_the_k(rho: float) -> None:
    flow = gradient_flow(linear(rho * orthogonal(6)), MSE, batch(80, 4, 3), 60, 8).joint
    ratios = [flow.log_ratio(lag) for lag in range(61)]
    np.testing.assert_allclose(ratios, np.arange(61) * math.log(rho), atol=1e-9)
    assert flow.decay == pytest.approx(math.log(rho), abs=1e-9)
    assert flow.decay_error < 1e-9
    if rho < 1:
        assert flow.half_life == pytest.approx(math.log(2) / -math.log(rho))
        assert flow.horizon == min(60, math.floor(math.log(0.01) / math.log(rho)))


def test_a_non_normal_linear_network_grows_before_it_shrinks_as_its_powers_do() -> None:
    weight = torch.tensor([[0.5, 8.0], [0.0, 0.5]], dtype=torch.float64)
    network, readout = linear(weight), torch.tensor([1.0, 0.0], dtype=torch.float64)
    network.head.weight.data[0] = readout
    flow = gradient_flow(network, MSE, batch(50, 1, 3), 40, 1).joint
    powers = [(torch.linalg.matrix_power(weight.T, k) @ readout).norm().log().item() for k in range(41)]
    np.testing.assert_allclose(flow.log_norms[:, 0] - flow.log_norms[0, 0], np.array(powers) - powers[0], atol=1e-9)
    assert flow.log_ratio(1) > 0 > flow.log_ratio(40)


@pytest.mark.parametrize(
    ("rho", "dtype"), [(1e-5 / 2, torch.float64), (1e-3, torch.float32), (1e3, torch.float32), (1e6, torch.float64)]
)
def test_gradients_beyond_the_range_of_floats_keep_their_size(rho: float, dtype: torch.dtype) -> None:
    weight = rho * orthogonal(4)
    network = linear(weight).to(dtype)
    data = batch(61, 2, 3, dtype)
    quiet = Batch(torch.zeros_like(data.inputs), data.targets)
    flow = gradient_flow(network, MSE, quiet, 60, 2).joint
    assert flow.log_ratio(60) == pytest.approx(60 * math.log(rho), rel=1e-5)
    assert flow.decay == pytest.approx(math.log(rho), rel=1e-5)


def test_padding_takes_no_part() -> None:
    network, data = build("gru", 1), batch(12, 3, 3)
    mask = torch.arange(12)[:, None] < torch.tensor([12, 8, 12])
    noise = Batch(torch.where(mask[..., None], data.inputs, 1e9), data.targets, mask)
    assert reachable(noise) == 11
    flow = gradient_flow(network, MSE, noise, 7, 15)
    alone = gradient_flow(network, MSE, Batch(data.inputs[:, :1], data.targets[:, :1]), 7, 5)
    assert flow.log_norms.shape[-1] == 5 + 1 + 5
    np.testing.assert_allclose(flow.log_norms[..., 0], alone.log_norms[..., 0])


def test_a_dead_relu_network_has_no_gradient_left_and_says_so() -> None:
    network = build("elman", 1, activation="relu")
    nn.init.constant_(network.core.get_parameter("bias_ih_l0"), -100.0)
    flow = gradient_flow(network, MSE, batch(40, 2, 3), 30, 2).joint
    assert flow.log_ratio(1) == -math.inf
    assert flow.decay == -math.inf
    assert flow.horizon == flow.half_life == 0


def test_what_is_not_finite_is_counted_and_located() -> None:
    network = linear(orthogonal(4))
    data = batch(20, 2, 3)
    data.inputs[:] = 0.0
    with torch.no_grad():
        next(network.core.recurrent_blocks()).matrix[0, 0] = math.nan
    flow = gradient_flow(network, MSE, data, 10, 2)
    assert flow.nonfinite == list(range(11))
    broken = np.zeros((11, 1, 1, 2))
    broken[7, 0, 0, 1] = math.inf
    assert Flow(broken, ["h"], "h").nonfinite == [7]


def test_the_error_of_the_decay_is_that_of_the_mean_of_the_samples_slopes() -> None:
    slopes = np.array([-0.1, -0.2, -0.4])
    profile = Profile(np.arange(50)[:, None] * slopes)
    assert profile.decay == pytest.approx(slopes.mean())
    assert profile.decay_error == pytest.approx(slopes.std(ddof=1) / math.sqrt(3))
    assert math.isnan(Profile(np.zeros((50, 1))).decay_error)


def test_the_decay_leaves_out_the_lags_that_are_not_yet_exponential() -> None:
    lags = np.arange(61)
    assert Profile((-0.1 * lags + np.where(lags < 20, 5.0, 0.0))[:, None]).decay == pytest.approx(-0.1)
    assert Profile((-0.1 * lags[:11] + np.where(lags[:11] < 5, 5.0, 0.0))[:, None]).decay == pytest.approx(-0.1)


def test_the_error_of_the_ratio_is_the_spread_over_repeated_draws() -> None:
    draws = np.random.default_rng(0)
    profiles = [Profile(draws.normal([[0.0], [-2.0]], 0.3, (2, 200))) for _ in range(300)]
    spread = np.std([profile.log_ratio(1) for profile in profiles])
    assert np.mean([profile.log_ratio_error(1) for profile in profiles]) == pytest.approx(spread, rel=0.1)


def test_the_memory_of_an_lstm_is_its_cell_and_keeps_its_gradient_while_the_forget_gate_is_open() -> None:
    network = build("lstm", gain=0.01)
    network.core.get_parameter("bias_ih_l0").data[5:10] = 20.0
    memory = gradient_flow(network, MSE, batch(70, 8, 3), 60, 8).memory
    assert memory.log_ratio(60) == pytest.approx(0, abs=0.1)
    assert memory.horizon == 60


@pytest.mark.parametrize("rho", [1e-8, 1e-5, 1e5, 1e8])
def test_steps_that_leave_the_range_of_float32_within_a_segment_keep_their_size_too(rho: float) -> None:
    network, data = linear(rho * orthogonal(4)).float(), batch(31, 2, 3, torch.float32)
    quiet = Batch(torch.zeros_like(data.inputs), data.targets)
    flow = gradient_flow(network, MSE, quiet, 30, 2).joint
    np.testing.assert_allclose([flow.log_ratio(k) for k in range(31)], np.arange(31) * math.log(rho), rtol=1e-5)


def test_modules_that_did_not_train_do_not_train_after_a_probe_either() -> None:
    network = build("gru", dropout=0.5).train()
    network.dropout.eval()
    gradient_flow(network, MSE, batch(20, 2, 3), 10, 2)
    assert (network.training, network.core.training, network.dropout.training) == (True, True, False)


@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_memory_and_joint_are_of_all_layers_together(name: str) -> None:
    network = build(name, layers=3)
    flow = gradient_flow(network, MSE, batch(13, 2, 3), 12, 2)
    norms = np.exp(flow.log_norms)
    memory = norms[:, :, flow.parts.index(network.core.memory)]
    np.testing.assert_allclose(np.exp(flow.memory.log_norms), np.sqrt((memory**2).sum(1)))
    np.testing.assert_allclose(np.exp(flow.joint.log_norms), np.sqrt((norms**2).sum((1, 2))))
    assert (flow.memory.log_norms > np.log(memory.max(1)) + 1e-3).all()  # and no layer is so small that it could lack
