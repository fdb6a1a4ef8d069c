"""Saturation, recurrent weights, gradient by time and update geometry against closed forms."""

import math

import numpy as np
import pytest
import torch

from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.none import NoClip
from study.learning.clipping.norm import ClipNorm
from study.probes.backpropagated import backpropagated
from study.probes.geometry import noise_scale, update_geometry
from study.probes.gradients import flat
from study.probes.saturation import saturation
from study.probes.weights import recurrent_weights
from study.tasks.contract import Batch
from study.verify.networks import MSE, linear, orthogonal
from tests.networks import batch, build


def test_no_gradient_comes_back_from_padding() -> None:
    network, data = build("gru"), batch(10, 2, 3)
    padded = Batch(data.inputs, data.targets, torch.arange(10)[:, None] < torch.tensor([10, 6]))
    found = backpropagated(network, MSE, padded).log_norms[:, 0, 0]
    assert np.isfinite(found[:, 0]).all()
    assert np.isfinite(found[:6, 1]).all()
    assert np.isneginf(found[6:, 1]).all()


def test_gates_held_open_are_saturated_and_keep_the_state_for_their_time_scale() -> None:
    network = build("lstm")
    for name, parameter in network.core.named_parameters():
        parameter.data.zero_()
        if name == "bias_ih_l0":
            parameter.data[5:10] = 3.0
    found = saturation(network, batch(8, 3, 3))
    forget = next(share for share in found.shares if share.name == "forget")
    assert forget.saturated == 1.0
    assert forget.time_scale == pytest.approx(-1 / math.log(1 / (1 + math.exp(-3.0))))
    assert found.mean_share("gate") == pytest.approx(1 / 3)
    assert found.mean_share("tanh") == 0.0
    assert math.isnan(found.blocking)


def test_a_gate_that_is_exactly_one_keeps_the_state_for_ever() -> None:
    network = build("gru")
    network.core.get_parameter("bias_ih_l0").data[5:10] = 1000.0
    assert saturation(network, batch(8, 3, 3)).scalars()["saturation/time_scale"] == math.inf


def test_a_tanh_network_driven_hard_is_saturated_and_a_relu_network_pushed_down_is_dead() -> None:
    network = build("elman")
    network.core.get_parameter("bias_ih_l0").data[:] = torch.tensor([9.0, 9.0, -9.0, 0.0, 0.0])
    network.core.get_parameter("weight_hh_l0").data.zero_()
    network.core.get_parameter("weight_ih_l0").data.zero_()
    assert saturation(network, batch(8, 3, 3)).blocking == pytest.approx(3 / 5)
    dead = build("elman", activation="relu")
    dead.core.get_parameter("bias_ih_l0").data[:2] = -1e3
    assert saturation(dead, batch(8, 3, 3)).mean_share("relu") >= 2 / 5


def test_saturation_does_not_look_at_padding() -> None:
    network, data = build("elman"), batch(8, 2, 3)
    mask = torch.arange(8)[:, None] < torch.tensor([8, 4])
    wild = Batch(torch.where(mask[..., None], data.inputs, 1e6), data.targets, mask)
    calm = Batch(torch.where(mask[..., None], data.inputs, 0.0), data.targets, mask)
    assert saturation(network, wild) == saturation(network, calm)


def test_an_orthogonal_matrix_is_normal_and_a_shift_is_as_far_from_it_as_can_be() -> None:
    core = build("elman").core
    weight = next(core.recurrent_blocks()).matrix.data
    weight.copy_(0.7 * orthogonal(5))
    (block,) = recurrent_weights(core).blocks
    assert block.spectral_radius == pytest.approx(0.7)
    assert block.largest_singular_value == pytest.approx(0.7)
    assert block.non_normality == pytest.approx(0, abs=1e-6)
    weight.copy_(torch.diag(torch.full((4,), 2.0).double(), 1))
    (block,) = recurrent_weights(core).blocks
    assert (block.spectral_radius, block.largest_singular_value, block.non_normality) == pytest.approx((0, 2, 1))
    weight[0, 0] = math.inf
    assert math.isnan(recurrent_weights(core).blocks[0].spectral_radius)
    assert len(recurrent_weights(build("lstm", layers=2).core).blocks) == 8


def test_plain_descent_has_the_learning_rate_as_effective_rate_and_clipping_shrinks_it() -> None:
    network, data = build("gru"), batch(10, 4, 3)
    free = TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), NoClip())
    found = update_geometry(free, data, 2)
    assert found.effective_rate == pytest.approx(0.1)
    norm = math.sqrt(sum(float(p.detach().square().sum()) for p in network.parameters()))
    assert found.weight_ratio == pytest.approx(0.1 * found.gradient_norm / norm)
    clipped = TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), ClipNorm(found.gradient_norm / 4))
    assert update_geometry(clipped, data, 2).effective_rate == pytest.approx(0.025)


def test_smoothness_is_the_curvature_along_the_step_for_a_small_one() -> None:
    network, data = linear(0.9 * orthogonal(4)), batch(6, 4, 3)
    sgd = torch.optim.SGD(network.parameters(), 1e-6)
    found = update_geometry(TruncatedBPTT(network, MSE, sgd, NoClip()), data, 2)
    parameters = list(network.parameters())
    loss = (network(data.inputs)[0] - data.targets).square().mean()
    gradient = torch.autograd.grad(loss, parameters, create_graph=True)
    along = torch.stack([(g * g.detach()).sum() for g in gradient]).sum()
    turn = torch.autograd.grad(along, parameters)
    assert found.smoothness == pytest.approx(float(flat(turn).norm() / flat(gradient).norm()), rel=1e-4)


def test_the_noise_scale_of_known_noise_is_found_on_average() -> None:
    draws = np.random.default_rng(0)
    signal, deviation, size, parts = 1.0, 3.0, 4, 8
    estimates = []
    for _ in range(400):
        smalls = torch.as_tensor(draws.normal(signal, deviation / math.sqrt(size), (parts, 500)))
        estimates.append(noise_scale(smalls.mean(0), smalls, size))
    assert np.mean(estimates) == pytest.approx(deviation**2 / signal**2, rel=0.03)
