"""Sensitivity, sharpness, alignment: what `study.verify` does not show of them. Their truths are rows there."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.none import NoClip
from study.models import RecurrentModel
from study.probes.alignment import alignment
from study.probes.lyapunov import Lyapunov, kaplan_yorke
from study.probes.sensitivity import responses, sensitivity
from study.probes.sharpness import lanczos, sharpness
from study.tasks.contract import Batch
from study.verify.networks import MSE, linear, orthogonal
from tests.networks import batch, build
from tests.unrolled import CLOSELY


def trainer(network: RecurrentModel, optimizer: torch.optim.Optimizer) -> TruncatedBPTT:
    return TruncatedBPTT(network, MSE, optimizer, NoClip())


@pytest.mark.parametrize("name", CLOSELY)  # `study.verify` has all directions, of every core
def test_random_directions_find_on_average_what_all_directions_add_up_to(name: str) -> None:
    core, inputs = build(name, hidden_size=2).core, batch(6, 2, 3).inputs
    none = {parameter: torch.zeros_like(core.get_parameter(parameter)) for parameter in core.recurrent_parameters}
    exact = 0.0 if none else math.nan
    for parameter, zeros in none.items():
        for unit in torch.eye(zeros.numel(), dtype=torch.float64):
            moved, _ = responses(core, inputs, {**none, parameter: unit.view_as(zeros)})
            exact += float(moved[-1].mean())
    assert sensitivity(core, inputs, 150).moved[-1] == pytest.approx(exact, rel=0.3, nan_ok=True)


def test_the_longer_a_network_remembers_the_more_its_parameters_move_it() -> None:
    inputs = batch(200, 8, 3).inputs
    ratios = [float(sensitivity(linear(rho * orthogonal(4)).core, inputs, 4).ratio[-1]) for rho in (0.1, 0.9, 0.99)]
    assert ratios[0] < ratios[1] / 10 < ratios[2] / 100


def test_sensitivity_is_measured_in_float32_networks_as_in_float64_ones() -> None:
    double, inputs = build("lstm", layers=2), batch(20, 3, 3).inputs
    exact = sensitivity(double.core, inputs, 3).ratio
    single = sensitivity(double.float().core, inputs.float(), 3).ratio
    np.testing.assert_allclose(single, exact, rtol=1e-4)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.5, False), (0.9, False), (0.5, True), (0.9, True)])
def test_at_the_limit_of_its_optimizer_a_step_stops_coming_closer(momentum: float, nesterov: bool) -> None:
    network = build("elman")
    sgd = torch.optim.SGD(network.parameters(), 0.1, momentum, nesterov=nesterov)
    limit = sharpness(trainer(network, sgd), batch(6, 2, 3), 4).limit
    for share, closer in ((0.98, True), (1.02, False)):
        point = nn.Parameter(torch.ones(1, dtype=torch.float64))
        optimizer = torch.optim.SGD([point], share * limit / 3.0, momentum, nesterov=nesterov)
        for _ in range(2000):
            point.grad = 3.0 * point.detach()
            optimizer.step()
        assert (abs(float(point.detach())) < 1.0) == closer


def test_adams_limit_is_that_of_its_averaged_gradient_under_a_scale_that_stands() -> None:
    network = build("elman")
    limit = sharpness(trainer(network, torch.optim.Adam(network.parameters(), 0.1)), batch(6, 2, 3), 4).limit
    assert limit == pytest.approx(38.0)
    for share, closer in ((0.98, True), (1.02, False)):
        point, mean = 1.0, 0.0
        for _ in range(4000):
            mean = 0.9 * mean + 0.1 * 3.0 * point
            point -= share * limit / 3.0 * mean
        assert (abs(point) < 1.0) == closer


def test_adam_has_no_sharpness_before_its_first_update_and_gets_no_state_from_being_asked() -> None:
    network = build("gru")
    bptt = trainer(network, torch.optim.Adam(network.parameters(), 0.01))
    assert math.isnan(sharpness(bptt, batch(6, 2, 3), 4).product)
    assert not bptt.optimizer.state
    list(bptt.updates(batch(6, 2, 3)))
    assert sharpness(bptt, batch(6, 2, 3), 4).product > 0


def test_weight_decay_is_curvature_too() -> None:
    network, data = build("gru"), batch(6, 2, 3)
    plain, decayed = (
        sharpness(trainer(network, torch.optim.SGD(network.parameters(), 0.1, weight_decay=w)), data, 60).largest
        for w in (0.0, 0.5)
    )
    assert decayed == pytest.approx(plain + 0.5)


def test_the_weight_decay_of_adamw_is_curvature_after_the_division_by_its_scale() -> None:
    found = []
    for decay in (0.0, 0.5):
        network, data = build("gru"), batch(6, 2, 3)
        bptt = trainer(network, torch.optim.AdamW(network.parameters(), 1e-9, weight_decay=decay))
        list(bptt.updates(data))  # so small a step that only the optimizer's state is another
        found.append(sharpness(bptt, data, 60).largest)
    assert found[1] == pytest.approx(found[0] + 0.5, rel=1e-4)


def test_where_only_some_weights_decay_the_others_keep_their_curvature() -> None:
    network, data = build("elman"), batch(6, 2, 3)
    first, *others = network.parameters()
    groups: list[dict[str, Any]] = [{"params": [first], "weight_decay": 1e6}, {"params": others}]
    bptt = trainer(network, torch.optim.SGD(groups, 0.1))
    assert sharpness(bptt, data, 60).largest == pytest.approx(1e6, rel=1e-3)
    assert sharpness(bptt, data, 60).smallest < 1e3


def test_sharpness_in_float32_is_that_in_float64() -> None:
    for name in CLOSELY:
        network, data = build(name, layers=2), batch(20, 4, 3)
        exact = sharpness(trainer(network, torch.optim.SGD(network.parameters(), 0.1)), data, 20)
        network, data = network.float(), Batch(data.inputs.float(), data.targets.float())
        single = sharpness(trainer(network, torch.optim.SGD(network.parameters(), 0.1)), data, 20)
        assert single.largest == pytest.approx(exact.largest, rel=1e-3)
        assert exact.residual < 0.05 * exact.largest


def test_the_largest_eigenvalue_is_not_the_longest_negative_one() -> None:
    matrix = torch.diag(torch.tensor([-5.0, -1.0, 0.5, 2.0], dtype=torch.float64))
    found = lanczos(lambda v: matrix @ v, 4, 10)
    assert found.largest == pytest.approx(2.0)
    assert found.smallest == pytest.approx(-5.0)


def test_without_recurrence_no_far_part_is_left_to_agree_with() -> None:
    found = alignment(linear(0 * orthogonal(4)), MSE, batch(10, 3, 3), 4)
    assert math.isnan(found.cosine)
    assert found.far < 1e-12 < found.near


def test_a_split_at_the_length_leaves_nothing_far() -> None:
    assert math.isnan(alignment(build("gru"), MSE, batch(10, 3, 3), 10).cosine)


@pytest.mark.parametrize(
    ("exponents", "dimensions", "expected"),
    [
        ([-0.1, -0.2], 2, 0.0),  # all states meet
        ([0.0, -1.0], 2, 1.0),  # a closed orbit
        ([0.3, 0.1], 2, 2.0),  # no volume shrinks
        ([0.3, 0.1], 5, math.nan),  # nor do those followed: the others would be needed
        ([0.3, -0.1], 5, math.nan),
        ([0.3, -0.6, -9.0], 3, 1.5),
        ([0.3, -math.inf], 2, 1.0),
        ([math.nan, -1.0], 2, math.nan),
    ],
)
def test_the_dimension_of_an_attractor_follows_from_its_exponents(
    exponents: list[float], dimensions: int, expected: float
) -> None:
    assert kaplan_yorke(np.array(exponents), dimensions) == pytest.approx(expected, nan_ok=True)


def test_a_spectrum_kept_by_an_older_checkpoint_says_that_it_does_not_know_its_horizon() -> None:
    old = Lyapunov.restored({"rates": torch.tensor([[0.1, -0.2]]), "steps": 10, "bounded": True})
    assert isinstance(old, Lyapunov)
    assert math.isnan(old.near_zero)
    assert math.isnan(old.columns()["near_zero"])
