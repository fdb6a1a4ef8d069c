"""How many numbers become one: means over samples, the lags of a fit, the part of the state that carries the past."""

import math
from collections.abc import Iterator

import numpy as np
import torch

from study.probes.decay import FROM
from study.probes.flow import Profile, gradient_flow
from study.probes.saturation import saturation
from study.verify.check import Check
from study.verify.networks import MSE, data, linear, orthogonal, random_network


def means() -> Iterator[Check]:
    """Phi is the mean of norms; the decay is the mean of the slopes of logs, from lag 20 on."""
    network, batch = linear(0.9 * orthogonal(4)), data(40, 5)
    flow = gradient_flow(network, MSE, batch, 30, 5).joint
    slopes = (2 * (network(batch.inputs)[0][-1] - batch.targets[-1]).abs() * network.head.weight.norm()).detach()
    yield Check("phi_0, mean of 5 norms", "linear, rho = 0.9", float(slopes.mean()), math.exp(flow.log_phi[0]), 1e-9)
    lags, rates = np.arange(61), np.array([-0.05, -0.2, -0.5])
    apart = Profile(lags[:, None] * rates)
    yield Check("decay rate, mean of logs", "rates .05, .2 and .5", float(rates.mean()), apart.decay, 1e-9)
    expected = math.log(np.exp(60 * rates).mean())
    yield Check("log phi_60, log of mean", "rates .05, .2 and .5", expected, float(apart.log_phi[60]), 1e-9)


def fitted_lags() -> Iterator[Check]:
    """A non-normal W of two steps' growth: the slope from lag 20 on, by least squares on powers of W."""
    weight, readout = torch.tensor([[0.5, 8.0], [0.0, 0.6]]).double(), torch.tensor([1.0, 0.0]).double()
    network = linear(weight)
    network.head.weight.data[0] = readout
    found = gradient_flow(network, MSE, data(70, 2), 60, 2).joint.decay
    logs = [float((torch.linalg.matrix_power(weight.T, lag) @ readout).norm().log()) for lag in range(61)]
    expected = float(np.polyfit(np.arange(FROM, 61), logs[FROM:], 1)[0])
    yield Check(f"decay rate from lag {FROM}", "linear, non-normal", expected, found, 1e-9)


def memory_part() -> Iterator[Check]:
    """Two LSTM layers whose cells keep sigma(b) a step and read no h: all of the past is in c, in both layers."""
    network, lags, size = random_network("lstm", 1.0, 4, 2), 10, 4
    keeps = {0: 3.0, 1: 1.0}
    for layer, bias in keeps.items():
        network.core.get_parameter(f"weight_hh_l{layer}").data.zero_()
        network.core.get_parameter(f"bias_hh_l{layer}").data.zero_()
        network.core.get_parameter(f"weight_ih_l{layer}").data[size : 2 * size] = 0.0
        network.core.get_parameter(f"bias_ih_l{layer}").data[size : 2 * size] = bias
    flow = gradient_flow(network, MSE, data(20, 1), lags, 1)
    c = flow.log_norms[:, 1, 1, 0]
    expected = c[0] - lags * math.log1p(math.exp(-keeps[1]))
    yield Check("log flow of c, top layer", "lstm, gates kept open", float(expected), float(c[lags]), 1e-9)
    got = float(flow.memory.log_phi[lags])
    expected = 0.5 * float(np.logaddexp.reduce(2 * flow.log_norms[lags, :, 1, 0]))
    yield Check("log phi_10 of the memory", "lstm, gates kept open", expected, got, 1e-9)
    joint = 0.5 * float(np.logaddexp.reduce(2 * flow.log_norms[lags].ravel()))
    yield Check("log phi_10 of all parts", "lstm, gates kept open", joint, float(flow.joint.log_phi[lags]), 1e-9)


def both_sides() -> Iterator[Check]:
    """Tanh units at -1, at 0 and at 1: two of five are saturated, one on either side; gates likewise."""
    network = random_network("elman", 1.0, 5)
    for name, parameter in network.core.named_parameters():
        parameter.data.zero_()
        if name == "bias_ih_l0":
            parameter.data.copy_(torch.tensor([-3.0, 3.0, 0.0, 0.5, -0.5]))
    share = saturation(network, data(8, 3)).mean_share("tanh")
    yield Check("share of saturated tanh", "elman, one unit a side", 2 / 5, share, 1e-9)
    gated = random_network("gru", 1.0, 5)
    for name, parameter in gated.core.named_parameters():
        parameter.data.zero_()
        if name == "bias_ih_l0":
            parameter.data[:10] = torch.tensor([-5.0, 5.0, 0.0, 1.0, -1.0] * 2)
    share = saturation(gated, data(8, 3)).mean_share("gate")
    yield Check("share of saturated gates", "gru, one unit a side", 2 / 5, share, 1e-9)
