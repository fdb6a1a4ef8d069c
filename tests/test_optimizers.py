"""Optimizers are torch's own: their options are checked, and arrive."""

from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from study.installation import CONF
from study.schema.optimizer import OPTIMIZERS, OptimizerConfig
from study.testing.configs import ConfigContract


def configured(name: str) -> OptimizerConfig:
    values = OmegaConf.to_container(OmegaConf.load(CONF / "optimizer" / f"{name}.yaml"))
    config: OptimizerConfig = OPTIMIZERS.config(name).model_validate(values)
    return config


class TestOptimizerConfigs(ConfigContract):
    @pytest.fixture(params=OPTIMIZERS)
    def config(self, request: pytest.FixtureRequest) -> OptimizerConfig:
        return configured(request.param)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_option_is_an_argument_of_torch_under_the_same_name(name: str) -> None:
    options: dict[str, Any] = configured(name).model_dump(exclude={"name"})
    optimizer = OPTIMIZERS.implementation(name)([torch.nn.Parameter(torch.ones(1))], **options)
    assert options.items() <= optimizer.param_groups[0].items()
