"""Lyapunov exponents against exact spectra and known chaos; `make verify` holds them against the flow they predict."""

import math

import numpy as np
import pytest
import torch

from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.none import NoClip
from study.learning.exponents import exponents_by_qr
from study.models import RecurrentModel
from study.probes.autonomous import autonomous_exponents
from study.probes.lyapunov import Lyapunov, lyapunov
from study.schema.probe import LyapunovConfig
from study.verify.networks import MSE, linear, orthogonal
from tests.networks import batch, build


@pytest.mark.parametrize("rho", [0.5, 0.9, 1.0, 1.1])
def test_all_exponents_of_a_scaled_orthogonal_network_are_log_rho(rho: float) -> None:
    spectrum = lyapunov(linear(rho * orthogonal(6)), batch(80, 3, 3), None, 3)
    np.testing.assert_allclose(spectrum.rates, math.log(rho), atol=1e-9)


def test_a_diagonal_network_has_the_logs_of_its_diagonal_as_spectrum() -> None:
    diagonal = torch.tensor([0.3, 1.2, 0.8, 0.5], dtype=torch.float64)
    found = lyapunov(linear(torch.diag(diagonal)), batch(400, 1, 3), None, 1)
    np.testing.assert_allclose(found.exponents, np.log([1.2, 0.8, 0.5, 0.3]), atol=5e-3)
    assert found.log_condition == pytest.approx(found.steps * math.log(4), rel=1e-2)


def test_the_spectrum_of_henons_map_is_the_known_one() -> None:
    a, b, steps = 1.4, 0.3, 20_000
    points = [(0.1, 0.1)]
    for _ in range(steps):
        x, y = points[-1]
        points.append((1 - a * x * x + y, b * x))

    def transposed(t: int, directions: torch.Tensor) -> torch.Tensor:
        jacobian = torch.tensor([[-2 * a * points[t][0], 1.0], [b, 0.0]], dtype=torch.float64)
        return jacobian.T @ directions

    rates, _ = exponents_by_qr(transposed, steps, 1, 2, 2, torch.zeros(1, dtype=torch.float64))
    np.testing.assert_allclose(rates[0], [0.419, -1.623], atol=4e-3)
    assert float(rates.sum()) == pytest.approx(math.log(b), abs=1e-9)


def test_the_leading_exponents_are_those_of_the_whole_spectrum() -> None:
    network, data = build("gru"), batch(200, 2, 3)
    np.testing.assert_allclose(
        lyapunov(network, data, 2, 2).exponents, lyapunov(network, data, None, 2).exponents[:2], atol=1e-2
    )


def test_a_strong_random_tanh_network_is_chaotic_within_bounds_and_a_growing_linear_one_is_unbounded() -> None:
    network = build("elman", hidden_size=64, gain=3 * math.sqrt(3))  # uniform: standard deviation 3 / sqrt(64)
    found = lyapunov(network, batch(100, 4, 3), 1, 4)
    assert found.exponents[0] - 2 * found.errors[0] > 0
    assert found.bounded
    assert not lyapunov(linear(1.1 * orthogonal(6)), batch(80, 3, 3), 1, 3).bounded
    data = batch(80, 3, 3)
    faint = data._replace(inputs=1e-9 * data.inputs)
    assert not lyapunov(linear(1.1 * orthogonal(6)), faint, 1, 3).bounded  # how large its states become does not matter


def fed_back(name: str, steps: int = 60) -> tuple[RecurrentModel, list[torch.Tensor]]:
    """A model whose outputs are as many as its inputs, and the states of its own run after a batch, end to end."""
    network = build(name)
    network.head = torch.nn.Linear(5, 3).double()
    outputs, state = network(batch(12, 1, 3).inputs)
    states = [torch.cat([part[0, 0] for part in state])]
    while len(states) < steps:
        outputs, state = network(outputs[-1:], state)
        states.append(torch.cat([part[0, 0] for part in state]).detach())
    return network, states


@pytest.mark.parametrize("name", ["elman", "gru", "lstm"])
def test_a_network_on_its_own_predictions_scales_volumes_by_its_own_jacobians(name: str) -> None:
    network, states = fed_back(name)

    def after(state: torch.Tensor) -> torch.Tensor:
        parts = tuple(state.view(-1, 1, 1, 5))
        _, (*new,) = network(network.decode(parts[0]), parts)
        return torch.cat([part.flatten() for part in new])

    jacobians = [torch.autograd.functional.jacobian(after, state) for state in states[15:45]]
    logs = [torch.linalg.slogdet(jacobian).logabsdet for jacobian in jacobians]
    found = autonomous_exponents(network, batch(12, 1, 3).inputs, MSE.predict, 60, None)
    assert float(found.sum()) == pytest.approx(float(torch.stack(logs).mean()), rel=1e-9)


def test_exponents_of_its_own_run_stand_beside_those_of_the_driven_network_and_survive_a_checkpoint() -> None:
    network, _ = fed_back("gru")
    bptt = TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), NoClip())
    plain = LyapunovConfig(exponents=2, sequences=2, horizon=5, autonomous=None)
    data = batch(40, 3, 3)
    driven = Lyapunov.measure(plain, bptt, data)
    both = Lyapunov.measure(plain.model_copy(update={"autonomous": 80}), bptt, data)
    assert both.scalars() == {**driven.scalars(), "lyapunov/autonomous": both.columns()["autonomous"][0]}
    assert both.autonomous is not None
    assert both.autonomous.shape == (2, 2)
    again = Lyapunov.restored(both.state())
    np.testing.assert_equal(dict(again.columns()), dict(both.columns()))
    assert "autonomous" not in driven.columns()


def test_a_broken_network_on_its_own_predictions_has_no_exponent() -> None:
    network, _ = fed_back("gru")
    network.head.weight.data[0, 0] = math.nan
    found = autonomous_exponents(network, batch(12, 2, 3).inputs, MSE.predict, 20, 1)
    assert found.isnan().all()
