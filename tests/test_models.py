"""The contract of every core there is, models around them, and the constructors beside the configuration."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from study import models
from study.installation import CONF
from study.models import Core, Inputs, RecurrentModel
from study.schema.model import MODELS
from study.testing.cores import CoreContract
from tests.members import LearntStart, Uneven

TIME, WIDTH, HIDDEN = 7, 3, 6
FEATURES = Inputs(4, tokens=False)
every_core = pytest.mark.parametrize("name", MODELS)


class TestRegisteredCores(CoreContract):
    @pytest.fixture(params=MODELS)
    def core_class(self, request: pytest.FixtureRequest) -> Callable[..., Core]:
        return models.core_class(request.param)


class TestACoreThatLearnsItsFirstState(CoreContract):
    @pytest.fixture
    def core_class(self) -> Callable[..., Core]:
        return LearntStart


class TestACoreWhosePartsDifferInWidth(CoreContract):
    @pytest.fixture
    def core_class(self) -> Callable[..., Core]:
        return Uneven


def values(name: str) -> dict[str, Any]:
    """What conf/model/<name>.yaml says."""
    found = OmegaConf.to_container(OmegaConf.load(CONF / "model" / f"{name}.yaml"))
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def build(name: str, inputs: Inputs = FEATURES, **changes: Any) -> RecurrentModel:
    config = MODELS.config(name).model_validate({**values(name), "hidden_size": HIDDEN, **changes})
    return models.build(config, inputs, 2)


def test_every_option_of_conf_names_an_architecture_and_every_architecture_has_one() -> None:
    assert sorted([*MODELS, "own"]) == sorted(path.stem for path in (CONF / "model").glob("*.yaml"))


@every_core
def test_a_core_is_built_from_plain_values_whose_names_and_defaults_are_those_of_its_configuration(name: str) -> None:
    config = MODELS.config(name)
    parameters = inspect.signature(models.core_class(name)).parameters
    assert list(parameters)[:3] == ["features", "hidden_size", "num_layers"]
    assert parameters.keys() - {"features"} == config.model_fields.keys() - config.of_the_model
    defaults = {key: p.default for key, p in parameters.items() if p.default is not inspect.Parameter.empty}
    assert parameters.keys() - defaults.keys() == {"features", "hidden_size"}
    assert defaults == {key: value for key, value in values(name).items() if key in defaults}


@every_core
def test_a_configured_core_is_the_one_built_from_plain_values(name: str) -> None:
    torch.manual_seed(3)
    core = models.core_class(name)(features=4, hidden_size=HIDDEN)
    torch.manual_seed(3)
    torch.testing.assert_close(build(name).core.state_dict(), core.state_dict(), rtol=0, atol=0)


@every_core
def test_tokens_are_embedded_and_features_enter_as_they_are(name: str) -> None:
    network = build(name, Inputs(9, tokens=True))
    assert network(torch.randint(9, (TIME, WIDTH)))[0].shape == (TIME, WIDTH, 2)
    assert network.encode(torch.randint(9, (TIME, WIDTH))).shape == (TIME, WIDTH, HIDDEN)
    inputs = torch.randn(TIME, WIDTH, 4)
    assert torch.equal(build(name).encode(inputs), inputs)


@every_core
def test_the_head_reads_the_outputs_of_the_core(name: str) -> None:
    network, inputs = build(name, num_layers=2), torch.randn(TIME, WIDTH, 4)
    outputs, state = network(inputs)
    hidden, after = network.core(inputs)
    torch.testing.assert_close(outputs, hidden @ network.head.weight.T + network.head.bias)
    torch.testing.assert_close(state, after)


@pytest.mark.parametrize("layers", [1, 2])
@every_core
def test_dropout_of_a_model_acts_on_inputs_and_outputs_in_training_only(name: str, layers: int) -> None:
    network, inputs = build(name, num_layers=layers, dropout=0.5), torch.randn(TIME, WIDTH, 4)
    assert (network.encode(torch.ones(TIME, WIDTH, 4)) == 0).any()
    assert not torch.equal(network(inputs)[0], network(inputs)[0])
    network.eval()
    assert torch.equal(network(inputs)[0], network(inputs)[0])
