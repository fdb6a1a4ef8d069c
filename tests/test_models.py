"""One contract for every architecture there is, then each one's own equations, written out."""

import math
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from study import models
from study.command import CONF
from study.models import Inputs, RecurrentModel, State
from study.schema.model import MODELS, CoreConfig

OPTIONS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
TIME, WIDTH, HIDDEN = 7, 3, 6
FEATURES = Inputs(4, tokens=False)


@pytest.fixture(autouse=True)
def _double_precision(_plain_torch: None) -> None:
    torch.set_default_dtype(torch.float64)


def configure(name: str, **changes: Any) -> CoreConfig:
    values = OmegaConf.to_container(OmegaConf.load(CONF / "model" / f"{name}.yaml"))
    assert isinstance(values, dict)
    return MODELS.config(name).model_validate({**values, "hidden_size": HIDDEN, **changes})


def build(name: str, inputs: Inputs = FEATURES, **changes: Any) -> RecurrentModel:
    return models.build(configure(name, **changes), inputs, 2)


def core(name: str, **changes: Any) -> nn.RNNBase:
    found = build(name, **changes).core
    assert isinstance(found, nn.RNNBase)
    return found


def test_every_option_of_conf_names_an_architecture_and_every_architecture_has_one() -> None:
    assert sorted(MODELS) == OPTIONS


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", OPTIONS)
def test_sequences_and_states_go_in_and_come_out_time_major(name: str, layers: int) -> None:
    network = build(name, num_layers=layers)
    outputs, state = network(torch.randn(TIME, WIDTH, 4))
    assert outputs.shape == (TIME, WIDTH, 2)
    assert {part.shape for part in state} == {(layers, WIDTH, HIDDEN)}
    again, following = network(torch.randn(TIME, WIDTH, 4), state)
    assert again.shape == outputs.shape
    assert len(following) == len(state)


@pytest.mark.parametrize("name", OPTIONS)
def test_no_state_is_the_zero_state(name: str) -> None:
    network, inputs = build(name), torch.randn(TIME, WIDTH, 4)
    outputs, state = network(inputs)
    zeros = tuple(torch.zeros_like(part) for part in state)
    assert torch.equal(network(inputs, zeros)[0], outputs)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_outputs_of_a_step_depend_on_no_later_step_and_on_no_other_sequence(name: str) -> None:
    network, inputs = build(name, num_layers=2), torch.randn(TIME, WIDTH, 4, requires_grad=True)
    outputs, _ = network(inputs)
    (slope,) = torch.autograd.grad(outputs[3, 1].sum(), inputs)
    assert slope[:4, 1].any(-1).all()
    assert not slope[4:].any()
    assert not slope[:, [0, 2]].any()


@pytest.mark.parametrize("name", OPTIONS)
def test_tokens_are_embedded_and_features_enter_as_they_are(name: str) -> None:
    network = build(name, Inputs(9, tokens=True))
    assert network(torch.randint(9, (TIME, WIDTH)))[0].shape == (TIME, WIDTH, 2)
    assert network.encode(torch.randint(9, (TIME, WIDTH))).shape == (TIME, WIDTH, HIDDEN)
    inputs = torch.randn(TIME, WIDTH, 4)
    assert torch.equal(build(name).encode(inputs), inputs)


@pytest.mark.parametrize("name", OPTIONS)
def test_equal_random_states_draw_equal_models(name: str) -> None:
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(torch.cat([p.flatten() for p in build(name).parameters()]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("name", OPTIONS)
def test_an_orthogonal_start_gives_every_block_of_w_hh_singular_values_equal_to_the_gain(
    name: str, gain: float
) -> None:
    network = core(name, num_layers=2, recurrent_init="orthogonal", gain=gain)
    for layer in range(2):
        for block in getattr(network, f"weight_hh_l{layer}").split(HIDDEN):
            torch.testing.assert_close(torch.linalg.svdvals(block), torch.full((HIDDEN,), gain))


@pytest.mark.parametrize("name", OPTIONS)
def test_a_uniform_start_fills_its_interval(name: str) -> None:
    (weight, *_) = core(name, hidden_size=64, recurrent_init="uniform", gain=3.0).all_weights[0][1:]
    bound = 3.0 / math.sqrt(64)
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", OPTIONS)
def test_dropout_acts_in_training_only_and_never_on_the_recurrence(name: str, layers: int) -> None:
    network = build(name, num_layers=layers, dropout=0.5)
    state = tuple(torch.randn(layers, WIDTH, HIDDEN) for _ in network(torch.zeros(1, WIDTH, 4))[1])
    inputs = torch.zeros(1, WIDTH, 4)  # dropout has nothing to drop on its way into the lowest layer
    lowest = [network(inputs, state)[1][0][0] for _ in range(5)]
    assert all(torch.equal(hidden, lowest[0]) for hidden in lowest)
    inputs = torch.randn(TIME, WIDTH, 4)
    assert not torch.equal(network(inputs)[0], network(inputs)[0])
    network.eval()
    assert torch.equal(network(inputs)[0], network(inputs)[0])


def elman(x: Tensor, state: State, w: list[Tensor], act: str) -> State:
    pre = x @ w[0].T + w[2] + state[0] @ w[1].T + w[3]
    return (pre.tanh() if act == "tanh" else pre.clamp(min=0),)


def lstm(x: Tensor, state: State, w: list[Tensor], act: str) -> State:
    i, f, g, o = (x @ w[0].T + w[2] + state[0] @ w[1].T + w[3]).chunk(4, -1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru(x: Tensor, state: State, w: list[Tensor], act: str) -> State:
    entering, fed_back = (x @ w[0].T + w[2]).chunk(3, -1), (state[0] @ w[1].T + w[3]).chunk(3, -1)
    r, z = ((a + b).sigmoid() for a, b in zip(entering[:2], fed_back[:2], strict=True))
    n = (entering[2] + r * fed_back[2]).tanh()
    return ((1 - z) * n + z * state[0],)


EQUATIONS = {"elman": elman, "lstm": lstm, "gru": gru}


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("name", "act"), [("elman", "tanh"), ("elman", "relu"), ("lstm", ""), ("gru", "")])
def test_every_architecture_follows_its_equations(name: str, act: str, layers: int) -> None:
    changes: dict[str, Any] = {"activation": act} if act else {}
    network = build(name, num_layers=layers, **changes)
    inputs, (outputs, state) = torch.randn(TIME, WIDTH, 4), network(torch.zeros(1, WIDTH, 4))
    start = tuple(torch.randn_like(part) for part in state)
    hidden, weights = inputs, core_weights(network)
    for layer in range(layers):
        at, steps = tuple(part[layer] for part in start), []
        for x in hidden:
            at = EQUATIONS[name](x, at, weights[layer], act)
            steps.append(at[0])
        hidden = torch.stack(steps)
    outputs, state = network(inputs, start)
    torch.testing.assert_close(outputs, hidden @ network.head.weight.T + network.head.bias)
    for part, expected in zip(state, at, strict=True):
        torch.testing.assert_close(part[-1], expected)


def core_weights(network: RecurrentModel) -> list[list[Tensor]]:
    assert isinstance(network.core, nn.RNNBase)
    return [list(layer) for layer in network.core.all_weights]


@pytest.mark.parametrize("bias", [-2.0, 0.0, 1.0, 5.0])
def test_the_forget_gate_starts_as_far_open_as_its_bias_says(bias: float) -> None:
    network = core("lstm", num_layers=2, forget_bias=bias)
    gate = slice(HIDDEN, 2 * HIDDEN)
    for layer in range(2):
        total = getattr(network, f"bias_ih_l{layer}") + getattr(network, f"bias_hh_l{layer}")
        torch.testing.assert_close(total[gate], torch.full((HIDDEN,), bias))
        assert total[: gate.start].any()
        assert total[gate.stop :].any()
