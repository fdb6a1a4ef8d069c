"""Options of every core: a size that is matched, residual connections, tied weights, recurrent dropout."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from study import models
from study.errors import ConfigError
from study.models import Inputs, RecurrentModel
from study.models.kernel import Loops
from study.models.sizing import WITHIN, size_of, units_for
from study.schema import Config
from study.schema.defaults import option
from study.schema.model import MODELS

REAL, WORDS = Inputs(4, tokens=False), Inputs(30, tokens=True)
WITH_KERNEL = [name for name in MODELS if "kernel" in MODELS.config(name).model_fields]
every_core = pytest.mark.parametrize("name", MODELS)
# A cell that is linear in its state refuses recurrent dropout (tests/test_models_linear.py).
every_core_that_reads_h = pytest.mark.parametrize("name", [name for name in MODELS if not MODELS.config(name).linear])


def build(name: str, inputs: Inputs = REAL, outputs: int = 2, **changes: Any) -> RecurrentModel:
    values = option("model", name) | {"hidden_size": 6} | changes
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.build(MODELS.config(name).model_validate(values), inputs, outputs)


@every_core
@pytest.mark.parametrize("inputs", [REAL, WORDS], ids=["real", "words"])
def test_a_matched_network_has_the_parameters_asked_for_within_two_percent(name: str, inputs: Inputs) -> None:
    network = build(name, inputs, hidden_size=None, match_parameters=20_000)
    assert abs(sum(p.numel() for p in network.parameters()) - 20_000) <= WITHIN * 20_000


@every_core
def test_a_matched_state_is_what_a_sequence_carries(name: str) -> None:
    network = build(name, hidden_size=None, match_state=128, num_layers=2)
    carried = sum(part[:, 0].numel() for part in network(torch.randn(3, 1, 4))[1])
    assert abs(carried - 128) <= WITHIN * 128


def test_matching_draws_what_the_size_found_would_draw_by_itself() -> None:
    matched = build("lstm", hidden_size=None, match_parameters=20_000)
    stated = build("lstm", hidden_size=matched.core.hidden_size)
    torch.testing.assert_close(matched.state_dict(), stated.state_dict(), rtol=0, atol=0)


def test_the_nearest_size_is_taken() -> None:
    def counted(units: int) -> int:
        return size_of(build("gru", hidden_size=units)).parameters

    found = build("gru", hidden_size=None, match_parameters=5_000).core.hidden_size
    assert min(range(1, 100), key=lambda units: abs(counted(units) - 5_000)) == found


def test_both_directions_and_tied_weights_are_counted_once() -> None:
    one, two = build("gru"), build("gru", bidirectional=True)
    assert size_of(two).state == 2 * size_of(one).state
    assert size_of(two).parameters == sum(p.numel() for p in two.parameters())
    loose, tied = (build("gru", WORDS, 30, tied=t) for t in (False, True))
    assert size_of(loose).parameters - size_of(tied).parameters == 30 * 6


def test_a_size_that_no_network_has_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(ConfigError, match=r"model.match_parameters = 60: .* 4 units have 50 and 5 units have 67 param"):
        build("elman", hidden_size=None, match_parameters=60)
    with pytest.raises(ConfigError, match=r"model.match_state = 1: .* 1 units have 2 state"):
        units_for("state", 1, lambda units: build("elman", hidden_size=units, num_layers=2))


@every_core
@pytest.mark.parametrize(
    "chosen",
    [{"match_parameters": 9}, {"hidden_size": None}, {"match_state": 9, "match_parameters": 9}],
)
def test_exactly_one_key_decides_the_size(name: str, chosen: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one of hidden_size, match_parameters, match_state decides it"):
        build(name, **chosen)


@every_core
def test_a_residual_connection_adds_what_enters_a_layer_to_what_the_next_one_reads(name: str) -> None:
    core, inputs = build(name, num_layers=3, residual=True).core.double(), torch.randn(7, 2, 4, dtype=torch.float64)
    outputs, (hidden, *_) = core(inputs)
    entering, state = inputs, core.initial_state(inputs)
    for layer in range(3):
        at, steps = tuple(part[layer] for part in state), []
        for step in entering:
            at = core.step(layer, step, at)
            steps.append(at[0])
        torch.testing.assert_close(at[0], hidden[layer])
        left = torch.stack(steps)
        entering = left + entering if layer == 1 else left
    torch.testing.assert_close(outputs, entering)


@every_core
def test_without_a_residual_connection_layers_read_outputs_alone(name: str) -> None:
    inputs = torch.randn(7, 2, 4)
    plain, added = (build(name, num_layers=3, residual=r).core for r in (False, True))
    assert not torch.equal(plain(inputs)[0], added(inputs)[0])
    added.residual = False
    assert torch.equal(plain(inputs)[0], added(inputs)[0])


def test_residual_layers_drop_between_them_in_training_only() -> None:
    network, inputs = build("lstm", num_layers=3, residual=True, dropout=0.5).core, torch.randn(7, 2, 4)
    (one, states), (two, again) = (network.train()(inputs) for _ in range(2))
    assert not torch.equal(one, two)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(states, again, strict=True))
    assert torch.equal(network.eval()(inputs)[0], network(inputs)[0])


def run(network: RecurrentModel, inputs: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(1)
    outputs: torch.Tensor = network(inputs)[0]
    return outputs


@every_core_that_reads_h
def test_recurrent_dropout_drops_the_same_units_of_h_before_every_step_in_training_only(name: str) -> None:
    """Against a loop that knows the mask: what torch's dropout makes of ones, drawn once a call."""
    network, inputs = build(name, recurrent_dropout=0.5).double(), torch.randn(7, 3, 4, dtype=torch.float64)
    outputs = run(network.train(), inputs)
    torch.manual_seed(1)
    kept = torch.nn.functional.dropout(torch.ones(3, 6, dtype=torch.float64), 0.5)
    at, steps = tuple(part[0] for part in network.core.initial_state(inputs)), []
    for step in inputs:
        at = network.core.step(0, step, (at[0] * kept, *at[1:]))
        steps.append(at[0])
    torch.testing.assert_close(outputs, network.decode(torch.stack(steps)))
    assert not torch.equal(outputs, run(network.eval(), inputs))
    torch.testing.assert_close(run(network, inputs), run(build(name).double(), inputs))


@every_core_that_reads_h
def test_recurrent_dropout_goes_with_residual_layers_and_both_directions(name: str) -> None:
    changes: dict[str, Any] = {"num_layers": 3, "residual": True, "bidirectional": True}
    network, inputs = build(name, recurrent_dropout=0.3, **changes), torch.randn(7, 3, 4)
    dropped = run(network.train(), inputs)
    assert torch.equal(dropped, run(network, inputs)), "equal draws gave different outputs"
    assert not torch.allclose(dropped, run(network.eval(), inputs))
    torch.testing.assert_close(run(network, inputs), run(build(name, **changes).eval(), inputs))


@every_core
def test_tied_weights_are_one_parameter_in_training_and_in_a_checkpoint(name: str) -> None:
    network = build(name, WORDS, 30, tied=True)
    assert network.encoder.weight is network.head.weight
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    network(torch.randint(30, (5, 2)))[0].square().sum().backward()
    optimizer.step()
    assert torch.equal(network.encoder.weight, network.head.weight)
    again = build(name, WORDS, 30, tied=True)
    again.load_state_dict(network.state_dict())
    assert again.encoder.weight is again.head.weight
    torch.testing.assert_close(again.head.weight, network.head.weight, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("inputs", "outputs", "changes", "why"),
    [
        (REAL, 4, {"tied": True}, "model.tied = True: .* here 4 real numbers enters, and the head has 4 outputs"),
        (WORDS, 17, {"tied": True}, "model.tied = True: .* here one of 30 tokens enters, and the head has 17 outputs"),
        (REAL, 2, {"residual": True, "num_layers": 2}, "model.residual = True: 4 real numbers enter the first of 2"),
    ],
)
def test_an_option_that_the_data_leave_no_place_for_is_refused(
    inputs: Inputs, outputs: int, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        build("lstm", inputs, outputs, **changes)


def test_what_is_proposed_against_too_small_a_network_is_in_the_key_that_decides_the_size(
    configure: Callable[..., Config],
) -> None:
    assert configure("model.hidden_size=12").model.wider(12) == "model.hidden_size=24"
    matched = configure("model.hidden_size=null", "model.match_parameters=900").model
    assert matched.wider(12) == "model.match_parameters=1800"


def test_a_residual_connection_of_two_layers_is_taken_where_as_many_features_enter_as_there_are_units() -> None:
    core, inputs = build("gru", num_layers=2, residual=True, hidden_size=4).core, torch.randn(7, 2, 4)
    plain = build("gru", num_layers=2, hidden_size=4).core
    assert not torch.allclose(core(inputs)[0], plain(inputs)[0])


@pytest.mark.parametrize(("steps", "width", "kernel", "ours"), [
    (5, 3, "auto", True), (4, 3, "auto", False), (5, 1 << 13, "auto", False), (5, 3, "torch", False),
])  # fmt: skip
@pytest.mark.parametrize("name", WITH_KERNEL)
def test_updates_run_a_kernel_of_this_project_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, name: str, steps: int, width: int, kernel: str, ours: bool
) -> None:
    core = models.core_class(name)(2, 4, kernel=kernel)
    (loops,) = (module for module in core.modules() if isinstance(module, Loops))
    kernels = Mock(wraps=loops.forwards)
    monkeypatch.setattr(loops, "forwards", kernels)
    inputs = torch.randn(steps, width, 2)
    outputs, _ = core.train_forward(inputs)
    assert kernels.called is ours
    torch.testing.assert_close(outputs, core(inputs)[0])
    assert torch.equal(outputs, core(inputs)[0]) or ours


def test_a_kernel_without_layer_normalisation_leaves_layers_that_have_it_to_their_steps() -> None:
    core, inputs = models.core_class("lstm_variant")(2, 4, layer_norm=True), torch.randn(9, 3, 2)
    assert torch.equal(core.train_forward(inputs)[0], core(inputs)[0])
