"""Networks made to vanish, explode, saturate or be chaotic, measured as runs are and judged as runs are."""

import math

import numpy as np
import pytest
import torch

from study.analysis.diagnosis.facts import Course, Facts, Probed, Setup, Standing
from study.analysis.diagnosis.judge import Diagnosis, diagnose
from study.analysis.diagnosis.thresholds import EXPLODED, VANISHED
from study.models import RecurrentModel
from study.probes.flow import gradient_flow
from study.probes.lyapunov import lyapunov
from study.probes.saturation import saturation
from study.verify.networks import MSE, linear, orthogonal
from tests.networks import batch, build

CALM = Course(np.full(200, 0.5), np.full(200, 0.5), np.full(200, 0.5))
NOTHING = Standing("rmse", 1.0, 1.0, (0.5, "HAR"), "minimize")
HORIZON = 20


def judged(network: RecurrentModel) -> Diagnosis:
    data = batch(80, 16, 3)
    flow = gradient_flow(network, MSE, data, 60, 16)
    probed = Probed(200, flow, lyapunov(network, data, 1, 8), saturation(network, data))
    return diagnose(Facts(Setup(HORIZON, horizon_known=True), CALM, [probed], NOTHING))


def gaussian(gain: float) -> RecurrentModel:
    """64 tanh units, W_hh ~ N(0, gain^2 / 64): chaotic for weak inputs where gain > 1 (Sompolinsky et al. 1988)."""
    network = build("elman", hidden_size=64)
    draws = torch.Generator().manual_seed(3)
    next(network.core.recurrent_blocks()).matrix.data.copy_(torch.randn(64, 64, generator=draws).double() * gain / 8)
    return network


def test_a_contracting_network_is_vanishing() -> None:
    diagnosis = judged(gaussian(0.5))
    assert diagnosis.verdict == "vanishing"
    assert f"{HORIZON} steps back" in diagnosis.sentence


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_gated_network_that_keeps_its_state_is_healthy_and_one_that_forgets_it_is_vanishing(name: str) -> None:
    network = build(name, gain=0.1)
    keep = network.core.get_parameter("bias_ih_l0").data[5:10]
    keep[:] = 5.0
    assert judged(network).verdict == "healthy"
    keep[:] = -5.0
    assert judged(network).verdict == "vanishing"


def test_a_network_driven_into_its_flat_regions_is_flat() -> None:
    network = gaussian(1.0)
    network.core.get_parameter("weight_ih_l0").data *= 100
    diagnosis = judged(network)
    assert (diagnosis.verdict, diagnosis.cause.name) == ("vanishing", "saturation")
    assert "of the units are saturated" in diagnosis.sentence


def test_a_relu_network_without_living_units_is_saturated_too() -> None:
    network = build("elman", activation="relu")
    network.core.get_parameter("bias_ih_l0").data[:] = -100.0
    assert judged(network).cause.name == "saturation"


def test_a_strong_random_network_is_chaotic() -> None:
    diagnosis = judged(gaussian(4.0))
    assert diagnosis.verdict == "chaotic"
    assert "Lyapunov" in diagnosis.sentence


def test_a_growing_linear_network_is_exploding_not_chaotic() -> None:
    assert judged(linear(1.4 * orthogonal(6))).verdict == "exploding"


def test_verdicts_over_rho_change_where_rho_to_the_horizon_crosses_the_thresholds() -> None:
    # A gradient explodes at whatever lag the training reaches; here that is 60 steps.
    boundaries = [VANISHED ** (1 / HORIZON), EXPLODED ** (1 / 60)]
    for rho in np.linspace(0.6, 1.4, 41):
        expected = ["vanishing", "healthy", "exploding"][int(np.searchsorted(boundaries, rho))]
        assert judged(linear(float(rho) * orthogonal(6))).verdict == expected


def test_a_network_broken_by_nan_is_not_judged_by_its_flow() -> None:
    network = gaussian(0.5)
    next(network.core.recurrent_blocks()).matrix.data[0, 0] = math.nan
    assert judged(network).verdict == "undecided"


def test_an_lstm_that_keeps_one_unit_and_reads_it_weakly_is_kept() -> None:
    """Its c loses nothing from step to step, but the units that forget carry nearly all of the gradient at lag 0."""
    network = build("lstm", gain=0.01)
    forget = network.core.get_parameter("bias_ih_l0").data[5:10]
    forget[:] = -5.0
    forget[0] = 30.0
    network.core.get_parameter("bias_ih_l0").data[0] = -6.0  # it takes little in, so that its c does not saturate
    with torch.no_grad():
        network.head.weight[:, 0] *= 1e-4
        network.core.get_parameter("weight_hh_l0")[:, 0] = 0.0  # nor do other units read it
    diagnosis = judged(network)
    assert diagnosis.verdict == "kept"
    assert "read weakly" in diagnosis.sentence
