"""Schedules: the course of each is torch's, the history has it, and a run resumes and reproduces with it."""

import copy
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import SGD, lr_scheduler

from study.columns import RATE
from study.errors import ConfigError
from study.learning import schedules
from study.learning.schedules import RateSchedule
from study.learning.schedules.constant import ConstantRate
from study.learning.schedules.cosine import CosineRate
from study.learning.schedules.plateau import PlateauRate
from study.learning.schedules.step import StepRate
from study.schema import Config
from study.schema.identity import deciding
from study.schema.schedule import SCHEDULES, RateScheduleConfig
from study.testing.configs import ConfigContract
from study.train import assemble
from study.training.trainer import fit
from tests.composed import member

Configure = Callable[..., Config]
TINY = ("task=forecasting_sine_mix", "model.hidden_size=4", "probe=none", "optimizer=sgd", "optimizer.lr=0.3")
TOTAL = 40
LOSSES = (3.0, 2.0, 2.0, 2.5, math.nan, 1.0, 1.0, 1.5, 1.2, -1.0, -0.9, -1.1, -1.1, math.inf, -1.1)

configured = partial(member, SCHEDULES, "schedule")


def optimizer() -> SGD:
    parameters = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    groups: list[dict[str, Any]] = [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.1}]
    return SGD(groups, 0.5)


def course(schedule: RateSchedule, losses: Iterable[float] = (), updates: int = TOTAL) -> list[float]:
    """The rate of every update, with a validation after each tenth."""
    sgd, rates, validations = optimizer(), [], iter(losses)
    schedule.start(sgd, updates)
    for update in range(1, updates + 1):
        first, second = (group["lr"] for group in sgd.param_groups)
        assert second == pytest.approx(first / 5)
        rates.append(first)
        schedule.updated()
        if update % 2 == 0 and (loss := next(validations, None)) is not None:
            schedule.validated(loss)
    return rates


def torchs(make: Callable[[SGD], lr_scheduler.LRScheduler]) -> list[float]:
    """The same by one of torch's schedulers."""
    sgd, rates = optimizer(), []
    scheduler = make(sgd)
    for _ in range(TOTAL):
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return rates


class TestScheduleConfigs(ConfigContract):
    @pytest.fixture(params=SCHEDULES)
    def config(self, request: pytest.FixtureRequest) -> RateScheduleConfig:
        return configured(request.param)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_starts_at_the_full_rate_and_a_warm_up_rises_to_it_in_equal_steps(name: str) -> None:
    plain, warm = (course(schedules.build(configured(name, warmup=warmup))) for warmup in (0, 8))
    assert plain[0] == 0.5
    np.testing.assert_allclose(warm[:8], [rate * (n + 1) / 8 for n, rate in enumerate(plain[:8])])
    assert warm[8:] == plain[8:]


def test_without_a_schedule_every_update_has_the_rate_itself_to_the_last_bit() -> None:
    assert set(course(ConstantRate())) == {0.5}


@pytest.mark.parametrize(
    ("ours", "make"),
    [
        (StepRate(0.3, 7), lambda sgd: lr_scheduler.StepLR(sgd, 7, 0.3)),
        (CosineRate(), lambda sgd: lr_scheduler.CosineAnnealingLR(sgd, TOTAL)),
        (ConstantRate(5), lambda sgd: lr_scheduler.LinearLR(sgd, 1 / 5, total_iters=4)),
    ],
    ids=["step", "cosine", "warm-up"],
)
def test_the_course_is_that_of_torchs_scheduler(
    ours: RateSchedule, make: Callable[[SGD], lr_scheduler.LRScheduler]
) -> None:
    np.testing.assert_allclose(course(ours), torchs(make), rtol=1e-12, atol=1e-15)


def test_a_cosine_ends_at_its_floor_and_stays_there() -> None:
    schedule, sgd = CosineRate(floor=0.1), optimizer()
    schedule.start(sgd, 10)
    rates = []
    for _ in range(25):
        schedule.updated()
        rates.append(sgd.param_groups[0]["lr"])
    assert rates[4] == pytest.approx(0.5 * (0.1 + 0.9 / 2))
    assert rates[9:] == pytest.approx([0.05] * 16)
    assert rates[:10] == sorted(rates[:10], reverse=True)


def test_a_plateau_lowers_the_rate_by_a_count_of_validations_that_were_no_better_than_the_best() -> None:
    rates = course(PlateauRate(0.5, 1), LOSSES)
    expected, best, waited, rate = [], math.inf, 0, 0.5
    for loss in LOSSES:
        expected += [rate, rate]
        best, waited = (loss, 0) if loss < best else (best, waited + 1)
        if waited > 1:
            rate, waited = rate / 2, 0
    assert rates[: len(expected)] == expected
    assert len(set(expected)) > 3


@pytest.mark.parametrize("cut", [3, 11])
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_restored_schedule_goes_on_to_the_same_bits(name: str, cut: int) -> None:
    values = {"warmup": 8} | ({"every": 5} if name == "step" else {})
    one, other = (schedules.build(configured(name, **values)) for _ in range(2))
    first, second = optimizer(), optimizer()
    one.start(first, TOTAL)
    other.start(second, TOTAL)
    for update in range(cut):
        one.updated()
        one.validated(LOSSES[update])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for update in range(cut, TOTAL):
        assert [g["lr"] for g in first.param_groups] == [g["lr"] for g in second.param_groups]
        for schedule in (one, other):
            schedule.updated()
            schedule.validated(LOSSES[update % len(LOSSES)])


def rates(config: Config) -> np.ndarray:
    _, module = assemble(config)
    fit(module, config.trainer, config.seed, [])
    return module.history.rows()[:, RATE]


def test_the_history_has_the_rate_that_every_update_was_made_with(configure: Configure) -> None:
    budget = ["trainer.max_updates=null", "trainer.max_steps=20000"]
    found = rates(configure(*TINY, *budget, "schedule=cosine", "schedule.warmup=3", "schedule.floor=0.1"))
    total = len(found)
    cosine = [0.1 + 0.9 * (1 + math.cos(math.pi * n / total)) / 2 for n in range(total)]
    expected = [0.3 * min(1, (n + 1) / 3) * factor for n, factor in enumerate(cosine)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert total > 10


def test_a_run_lowers_its_rate_when_its_validation_loss_stands_still_and_only_then(configure: Configure) -> None:
    still = ["schedule=plateau", "schedule.patience=0", "trainer.max_updates=20", "trainer.validate_every=4"]
    found = rates(configure(*TINY, *still, "optimizer.lr=1e-30"))
    np.testing.assert_allclose(found, np.repeat([1e-30, 1e-30, 5e-31, 2.5e-31, 1.25e-31], 4), rtol=1e-6)
    assert set(rates(configure(*TINY, *still))[:8]) == {np.float32(0.3)}


def test_when_to_validate_decides_the_bits_where_it_decides_the_rate(configure: Configure) -> None:
    for schedule, same in (("constant", True), ("plateau", False)):
        one, other = (configure(f"schedule={schedule}", f"trainer.validate_every={n}") for n in (5, 9))
        assert (deciding(one) == deciding(other)) == same


def test_a_schedule_over_the_whole_run_is_refused_where_nobody_knows_how_long_that_is(configure: Configure) -> None:
    clock = ["trainer.max_updates=null", "trainer.max_seconds=5"]
    with pytest.raises(ConfigError, match=r"schedule=cosine spans the whole run.*max_seconds = 5"):
        configure("schedule=cosine", *clock)
    assert configure("schedule=plateau", *clock).schedule.name == "plateau"


def test_a_checkpoint_of_before_there_were_schedules_is_that_of_a_constant_rate() -> None:
    schedule, sgd = ConstantRate(), optimizer()
    schedule.start(sgd, TOTAL)
    schedule.load_state_dict({})
    schedule.updated()
    assert sgd.param_groups[0]["lr"] == 0.5
