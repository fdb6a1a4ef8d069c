"""Equal budgets: in updates, in steps that are read, in epochs, in seconds."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from study import tasks
from study.schema import Config
from study.train import train
from study.training.pace import plan_pace

Configure = Callable[..., Config]
TINY = ("task=forecasting_sine_mix", "task.steps=1000", "model.hidden_size=2", "probe=none", "trainer.checkpoint=null")


def in_updates(config: Config) -> tuple[Any, int | None]:
    batches = tasks.build(config.task, config.data, config.seed).batches("train")
    return batches, plan_pace(config.trainer, config.bptt, batches).budget


@pytest.mark.parametrize("how", [(), ("bptt.k2=5",), ("task.batch_size=7",), ("bptt.k2=10", "bptt.k1=5")])
def test_the_same_steps_are_read_however_many_updates_they_make(configure: Configure, how: tuple[str, ...]) -> None:
    config = configure(*TINY, *how, "trainer.max_updates=null", "trainer.max_steps=3000")
    batches, updates = in_updates(config)
    assert updates is not None
    whole = sum(batch.steps for batch in batches.epoch(0))
    _, epoch = in_updates(config.model_copy(update={"trainer": config.trainer.model_copy(update={"max_steps": whole})}))
    assert epoch is not None
    assert updates == math.ceil(3000 * epoch / whole)
    assert updates * whole / epoch == pytest.approx(3000, abs=whole / epoch)
    assert train(config).updates == updates


def test_a_budget_in_updates_or_epochs_is_taken_as_it_is(configure: Configure) -> None:
    assert in_updates(configure(*TINY, "trainer.max_updates=7"))[1] == 7
    assert in_updates(configure(*TINY, "trainer.max_updates=null", "trainer.max_epochs=2"))[1] is None


def test_a_run_ends_when_its_time_is_up(configure: Configure) -> None:
    budgeted = ("trainer.max_updates=null", "trainer.max_seconds=1", "trainer.validate_every=50")
    result = train(configure(*TINY, *budgeted))
    assert result.updates > 0
    assert 1 <= result.seconds < 30
