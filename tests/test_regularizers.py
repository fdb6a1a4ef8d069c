"""One contract for every regularizer, then each against its formula, its gradient and what it promises."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from study.errors import ConfigError
from study.learning import regularizers
from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.norm import ClipNorm
from study.learning.regularizers import PENALTY, Passage, Regularizer
from study.learning.regularizers.flossing import Flossing
from study.learning.regularizers.omega import Omega
from study.learning.regularizers.orthogonality import Orthogonality
from study.models import RecurrentModel
from study.probes.gradients import Rehearsal
from study.probes.lyapunov import lyapunov
from study.schema import Config
from study.schema.model import MODELS
from study.schema.regularizer import REGULARIZERS, RegularizerConfig
from study.tasks.contract import Batch
from study.testing.configs import ConfigContract
from study.testing.regularizers import MakeRegularizer, RegularizerContract
from study.train import assemble
from study.training.trainer import fit
from study.verify.networks import MSE, linear, orthogonal
from tests.composed import member
from tests.networks import batch, build

Configure = Callable[..., Config]
SMALL = {"flossing": {"exponents": 1}}
ACTING = [name for name in REGULARIZERS if REGULARIZERS.implementation(name).acts]

configured = partial(member, REGULARIZERS, "regularizer")


def penalty(regularizer: Regularizer, network: RecurrentModel, data: Batch, first: int = 0) -> Tensor:
    found = regularizer.penalty(network, MSE, Passage(data, None, first))
    assert found is not None
    return found


def value(regularizer: Regularizer, network: RecurrentModel, data: Batch, first: int = 0) -> float:
    return float(penalty(regularizer, network, data, first).detach())


def slope(regularizer: Regularizer, network: RecurrentModel, data: Batch, parameter: str) -> Tensor:
    return torch.autograd.grad(penalty(regularizer, network, data), network.get_parameter(parameter))[0]


class TestRegularizers(RegularizerContract):
    @pytest.fixture(params=ACTING)
    def make_regularizer(self, request: pytest.FixtureRequest) -> MakeRegularizer:
        return lambda: regularizers.build(configured(request.param, **SMALL.get(request.param, {})))


class TestRegularizerConfigs(ConfigContract):
    @pytest.fixture(params=REGULARIZERS)
    def config(self, request: pytest.FixtureRequest) -> RegularizerConfig:
        return configured(request.param)


@pytest.mark.parametrize("regularizer", ACTING)
@pytest.mark.parametrize("name", list(MODELS))
def test_every_core_can_be_regularised_or_is_refused_in_words(name: str, regularizer: str) -> None:
    network, data = build(name, 2, hidden_size=3), batch(5, 2, 3)
    made = regularizers.build(configured(regularizer, **SMALL.get(regularizer, {})))
    try:
        made.refuse(network, data.inputs)
    except ConfigError as error:
        assert f"regularizer.name = '{regularizer}'" in str(error)  # noqa: PT017
        return
    made.add_gradient(network, MSE, Passage(data, None, 0))
    core = [p.grad for p in network.core.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in core)
    assert any(gradient.any() for gradient in core)


# Orthogonality.


def test_orthogonality_is_0_at_an_orthogonal_start_and_its_gradient_is_the_closed_form() -> None:
    assert value(Orthogonality(0.3), linear(orthogonal(4)), batch(3, 2, 3)) < 1e-28
    network = build("elman", hidden_size=4)
    w = network.get_parameter("core.weight_hh_l0").detach()
    found = slope(Orthogonality(0.3), network, batch(3, 2, 3), "core.weight_hh_l0")
    torch.testing.assert_close(found, 4 * 0.3 * w @ (w.T @ w - torch.eye(4, dtype=w.dtype)))


def test_orthogonality_adds_up_over_gates_layers_and_directions() -> None:
    network = build("lstm", 2, hidden_size=3, bidirectional=True)
    stacked = [p.detach() for name, p in network.named_parameters() if "weight_hh" in name]
    blocks = [block for matrix in stacked for block in matrix.split(3)]
    assert len(blocks) == 2 * 2 * 4
    expected = sum(float((b.T @ b - torch.eye(3, dtype=b.dtype)).square().sum()) for b in blocks)
    assert value(Orthogonality(2.0), network, batch(3, 2, 3)) == pytest.approx(2 * expected)


def test_orthogonality_is_refused_for_a_core_without_square_matrices() -> None:
    network = build("elman")
    network.core = nn.Module()  # type: ignore[assignment]
    with pytest.raises(ConfigError, match=r"regularizer.name = 'orthogonality'.*no square recurrent matrices"):
        Orthogonality(1.0).refuse(network, batch(3, 2, 3).inputs)


# Omega.


def test_omega_is_0_for_an_orthogonal_linear_network_and_known_for_one_that_shrinks() -> None:
    data = batch(9, 3, 3)
    assert value(Omega(2.0), linear(orthogonal(4)), data) < 1e-28
    assert value(Omega(2.0), linear(0.7 * orthogonal(4)), data) == pytest.approx(2 * 0.3**2)


def slow_omega(network: RecurrentModel, data: Batch, first: int) -> Tensor:
    """Of a tanh network of one layer, sequence by sequence and step by step: the formula, with J written out."""
    (w_ih, w_hh, b_ih, b_hh), head = network.core.parameters(), network.head
    terms = []
    for b in range(data.inputs.shape[1]):
        states, h = [], torch.zeros(len(w_hh), dtype=w_hh.dtype)
        for x in data.inputs[:, b]:
            states.append(h)
            h = (w_ih @ x + b_ih + w_hh @ h + b_hh).tanh().detach()
        hidden = torch.stack([*states[1:], h]).requires_grad_()
        error = (head(hidden) - data.targets[:, b])[first:].square().sum()
        own, delta = torch.autograd.grad(error, hidden)[0], torch.zeros_like(h)
        for t in range(len(states) - 1, 0, -1):
            delta = delta + own[t]
            units = (w_ih @ data.inputs[t, b] + b_ih + w_hh @ states[t] + b_hh).tanh()
            jacobian = torch.diag(1 - units**2) @ w_hh
            terms.append(((delta @ jacobian).norm() / delta.norm() - 1) ** 2)
            delta = (delta @ jacobian).detach()
    return torch.stack(terms).mean()


@pytest.mark.parametrize("first", [0, 4])
def test_omega_and_its_gradient_are_those_of_a_slow_double_loop(first: int) -> None:
    network, data = build("elman", hidden_size=4), batch(7, 3, 3)
    slow, found = slow_omega(network, data, first), penalty(Omega(1.0), network, data, first)
    assert float(found.detach()) == pytest.approx(float(slow.detach()), rel=1e-12)
    parameters = [*network.core.parameters()]
    for wanted, got in zip(*(torch.autograd.grad(value, parameters) for value in (slow, found)), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-12)


def test_omega_reads_the_whole_state_of_a_core_that_has_several_parts() -> None:
    """An LSTM that keeps c (f = 1, and nothing enters or leaves it) hands its gradient on undiminished."""
    network = build("lstm", hidden_size=3)
    with torch.no_grad():
        for name, parameter in network.core.named_parameters():
            parameter.zero_()
            if name.startswith("bias_ih"):
                parameter.copy_(torch.tensor([-60.0, 60.0, 0.0, 0.0], dtype=parameter.dtype).repeat_interleave(3))
    data = batch(6, 2, 3)
    last = Batch(data.inputs, data.targets, torch.arange(6)[:, None].expand(-1, 2) == 5)
    (into_h, *others) = (_ratio(network, last, t) for t in range(5, 0, -1))
    assert others == pytest.approx([1.0] * 4)
    expected = ((into_h - 1) ** 2 + sum((ratio - 1) ** 2 for ratio in others)) / 5
    assert value(Omega(1.0), network, last) == pytest.approx(expected)


def _ratio(network: RecurrentModel, data: Batch, t: int) -> float:
    """By full Jacobians of one step: ||J^T delta|| / ||delta|| at step t."""
    core, state = network.core, network.core.initial_state(data.inputs)
    steps = []
    for entering in data.inputs[:, :1]:
        flat = torch.cat([part[0, 0] for part in state]).detach()

        def one(flat: Tensor, entering: Tensor = entering) -> Tensor:
            h, c = flat[None].split(3, -1)
            return torch.cat(core.step(0, entering, (h, c)), -1)[0]

        steps.append(torch.autograd.functional.jacobian(one, flat))
        _, state = core(entering[None], tuple(part[:, :1] for part in state))
    delta = torch.cat([network.head.weight[0].detach(), torch.zeros(3, dtype=torch.float64)])
    for jacobian in steps[:t:-1]:
        delta = jacobian.T @ delta
    return float((steps[t].T @ delta).norm() / delta.norm())


def test_omega_leaves_out_steps_that_no_gradient_reaches() -> None:
    data, network = batch(6, 3, 3), linear(0.5 * orthogonal(4))
    counted = torch.ones(6, 3, dtype=torch.bool)
    counted[3:, 1:] = False
    assert value(Omega(1.0), network, Batch(data.inputs, data.targets, counted)) == pytest.approx(0.25)


# Flossing.


@pytest.mark.parametrize("name", list(MODELS))
def test_flossing_squares_the_exponents_that_the_probe_finds_on_the_same_states(name: str) -> None:
    network, data = build(name, 2, hidden_size=3), batch(12, 3, 3)
    rates = lyapunov(network, data, 2, 2).rates
    found = penalty(Flossing(3.0, exponents=2, sequences=2), network, data)
    assert float(found.detach()) == pytest.approx(3 * float((rates**2).mean()), rel=1e-9)


def test_flossing_of_a_linear_network_is_the_square_of_the_log_of_its_scale() -> None:
    data = batch(12, 3, 3)
    for rho in (0.5, 1.0, 1.7):
        found = value(Flossing(1.0, exponents=3), linear(rho * orthogonal(4)), data)
        assert found == pytest.approx(math.log(rho) ** 2, rel=1e-12, abs=1e-28)


@pytest.mark.parametrize("name", ["elman", "lstm"])
def test_flossing_is_differentiated_through_states_jacobians_and_qr(name: str) -> None:
    """Against central differences of the probe's own numbers, in a random direction of every parameter of the core."""
    network, data = build(name, 2, hidden_size=3), batch(9, 2, 3)
    gradients = torch.autograd.grad(penalty(Flossing(1.0, exponents=3), network, data), [*network.core.parameters()])
    for parameter, gradient in zip(network.core.parameters(), gradients, strict=True):
        direction, values = torch.randn(parameter.shape, dtype=torch.float64), []
        for side in (1e-5, -2e-5, 1e-5):  # the last one is the way back
            parameter.data.add_(direction, alpha=side)
            values.append(float((lyapunov(network, data, 3, 8).rates ** 2).mean()))
        expected = (values[0] - values[1]) / 2e-5
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize(
    "network",
    [build("elman", hidden_size=4, recurrent_init="orthogonal", gain=0.3), linear(1.7 * orthogonal(4))],
    ids=["a tanh network whose gradients vanish", "a linear one whose gradients explode"],
)
def test_flossing_alone_pulls_the_largest_exponent_to_0_from_either_side(network: RecurrentModel) -> None:
    data = batch(16, 2, 3)
    before = abs(float(lyapunov(network, data, 1, 4).exponents[0]))
    adam, flossing = torch.optim.Adam(network.core.parameters(), 0.03), Flossing(1.0, exponents=4)
    for _ in range(15):
        adam.zero_grad()
        flossing.add_gradient(network, MSE, Passage(data, None, 0))
        adam.step()
    assert abs(float(lyapunov(network, data, 1, 4).exponents[0])) < before / 3


def test_flossing_acts_at_every_nth_update_up_to_the_last_one_it_is_given() -> None:
    network, data = build("elman"), batch(5, 2, 3)
    flossing = Flossing(1.0, exponents=1, every=3, until=7)
    found = [float(flossing.add_gradient(network, MSE, Passage(data, None, 0))) > 0 for _ in range(12)]
    assert [number for number, acted in enumerate(found) if acted] == [0, 3, 6]


def test_flossing_follows_no_more_steps_than_it_is_told_from_the_state_that_a_window_starts_with() -> None:
    network, data = build("lstm"), batch(9, 2, 3)
    _, carried = network.core(data.inputs[:4])
    kept = tuple(part.detach() for part in carried)
    flossing = Flossing(1.0, exponents=2, steps=3)
    found = flossing.penalty(network, MSE, Passage(data.between(4, 9), kept, 0))
    cut = flossing.penalty(network, MSE, Passage(data.between(4, 7), kept, 0))
    anew = flossing.penalty(network, MSE, Passage(data.between(4, 7), None, 0))
    assert found is not None
    assert cut is not None
    assert anew is not None
    assert found.detach() == cut.detach() != anew.detach()


def test_more_exponents_than_dimensions_are_refused(configure: Configure) -> None:
    tiny = ["task=forecasting_sine_mix", "model=lstm", "model.hidden_size=2", "regularizer=flossing"]
    assert assemble(configure(*tiny, "regularizer.exponents=4"))
    with pytest.raises(ConfigError, match=r"regularizer.exponents = 5.*4 dimensions.*allowed: 1 to 4"):
        assemble(configure(*tiny, "regularizer.exponents=5"))


def test_directions_that_are_lost_from_the_start_are_refused() -> None:
    """A relu unit that is off passes nothing on, and in a diagonal recurrence no other unit does it in its place."""
    network, data = build("indrnn", hidden_size=3), batch(9, 2, 3)
    with pytest.raises(ConfigError, match=r"regularizer.name = 'flossing'.*-inf.*allowed: fewer regularizer.exponents"):
        Flossing(1.0, exponents=3).refuse(network, data.inputs)


# In a run.


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ("regularizer=omega bptt.k2=1", r"regularizer=omega with bptt.k2 = 1: .*allowed: bptt.k2 of 2"),
        ("regularizer=omega model.bidirectional=true", r"regularizer=omega follows.*model.bidirectional=false"),
        ("regularizer=flossing model.bidirectional=true", r"regularizer=flossing follows.*model.bidirectional=false"),
    ],
)
def test_a_regularizer_that_has_nothing_to_act_on_is_refused(configure: Configure, overrides: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        configure("task=labelling_parity", *overrides.split())


@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_a_run_records_the_penalty_of_every_update_beside_the_loss_and_only_if_there_is_one(
    configure: Configure, regularizer: str
) -> None:
    tiny = ["task=forecasting_sine_mix", "task.batch_size=128", "model.hidden_size=8", "probe=none"]
    config = configure(*tiny, "trainer.max_updates=5", "trainer.validate_every=100", f"regularizer={regularizer}")
    _, module = assemble(config)
    fit(module, config.trainer, config.seed, [])
    table = module.history.table()
    assert (PENALTY in table.column_names) == (regularizer in ACTING)
    assert table.num_rows == 5
    if regularizer in ACTING:
        assert (table[PENALTY].to_numpy() >= 0).all()
        assert table[PENALTY].to_numpy()[-1] > 0


def test_the_rehearsed_update_of_a_probe_is_regularised_too_and_counts_for_nothing() -> None:
    network, data = build("elman"), batch(6, 2, 3)
    flossing = Flossing(50.0, exponents=2)
    bptt = TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), ClipNorm(1e9))
    bptt.regularizer = flossing
    rehearsal, before = Rehearsal(bptt), flossing.state_dict()
    rehearsal.step(data)
    assert flossing.state_dict() == before
    list(bptt.updates(data))
    torch.testing.assert_close(rehearsal.parameters, torch.cat([p.detach().flatten() for p in network.parameters()]))
