"""What runs read, as planned from their configuration and as counted, and what of it is equal."""

import math
from collections.abc import Callable

import pytest

from study.installation import CHECKOUT
from study.schema import Config
from study.schema.budget import Reading, compare_readings, mean_reading, planned_reading
from study.train import train

TINY = ["model.hidden_size=2", "probe=none", "trainer.validate_every=1000"]
TEXT = ("task=language_text", f"task.path={CHECKOUT}/CHANGELOG.md")
SETUPS = {
    "a stream in plain blocks": [*TEXT, "bptt.k2=10", "trainer.max_updates=20"],
    "a stream with short strides": [*TEXT, "bptt.k1=5", "bptt.k2=20", "trainer.max_updates=20"],
    "windows of sequences": ["task=forecasting_stocks", "bptt.k2=7", "trainer.max_updates=18"],
    "whole sequences": ["task=labelling_parity", "task.batch_size=8", "trainer.max_updates=20"],
    "sequences asked once": ["task=forecasting_adding", "bptt.k2=5", "task.sequences=640", "trainer.max_updates=20"],
    "sequences asked at their end": ["task=language_selective_copying", "trainer.max_updates=20"],
    "sequences asked here and there": ["task=language_mqar", "bptt.update=sequence", "trainer.max_updates=20"],
    "a drawn stream": ["task=language_stream_copying", "bptt.k2=30", "bptt.k1=10", "trainer.max_updates=20"],
    "a budget in steps": [
        "task=labelling_parity", "bptt.k2=5", "trainer.max_updates=null", "trainer.max_steps=20000"
    ],
}  # fmt: skip


@pytest.mark.usefixtures("quick_opponents")
@pytest.mark.parametrize("setup", SETUPS)
def test_what_a_plan_says_a_run_reads_is_what_is_counted(setup: str, configure: Callable[..., Config]) -> None:
    config = configure(*SETUPS[setup], *TINY, "slug=readings")
    planned, result = planned_reading(config), train(config)
    assert result.updates == pytest.approx(planned.updates, rel=0.02)
    assert result.steps == pytest.approx(planned.steps, rel=0.02)


def test_of_ragged_sentences_and_of_budgets_in_time_a_plan_says_what_it_can(configure: Callable[..., Config]) -> None:
    assert str(planned_reading(configure("task=labelling_porttinari_pos"))) == "1,000 updates"
    assert str(planned_reading(configure("trainer.max_updates=null", "trainer.max_seconds=3"))) == ""
    assert str(planned_reading(configure("task=language_mqar", "bptt.k2=4"))) == "1,000 updates"


@pytest.mark.parametrize(
    ("short", "long", "said"),
    [
        (Reading(100, 5000), Reading(100, 5050), ""),
        (Reading(100, 5000), Reading(100, 50000), "Equal updates (100), unequal data: 5,000 (a) to 50,000 steps (b)."),
        (Reading(1000, 5000), Reading(100, 5000), "Equal data: every arm reads about 5,000 steps, in 100 (b) to 1,000"),
        (
            Reading(1000, 5000),
            Reading(100, 7000),
            "UNEQUAL in updates and in data: 100 (b) to 1,000 updates (a); 5",
        ),
        (Reading(1000, math.nan), Reading(100, math.nan), "UNEQUAL: 100 (b) to 1,000 updates (a); data are not known."),
        (Reading(100, math.nan), Reading(100, math.nan), ""),
        (Reading(math.nan, math.nan), Reading(math.nan, math.nan), ""),
    ],
)
def test_a_comparison_says_what_is_equal_and_marks_what_is_unequal_in_both(
    short: Reading, long: Reading, said: str
) -> None:
    found = compare_readings({"a": short, "b": long})
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_a_number_that_is_not_known_of_one_arm_says_nothing_of_all() -> None:
    arms = {"a": Reading(100.0, 5000.0), "b": Reading(200.0, 5000.0), "old": Reading(100.0, math.nan)}
    assert compare_readings(arms) == "UNEQUAL: 100 (a) to 200 updates (b); data are not known."


def test_one_arm_is_compared_with_nothing() -> None:
    assert compare_readings({"a": Reading(1, 2)}) == compare_readings({}) == ""


def test_the_reading_of_an_arm_is_the_mean_over_its_runs() -> None:
    assert mean_reading([Reading(1, 10), Reading(3, 20)]) == Reading(2, 15)
