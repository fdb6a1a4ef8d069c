"""The contract of every task there is, as `conf/task` states it.

Data that would be downloaded, and the user's own, are small samples made here; all else is the real data.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from study import tasks
from study.errors import ConfigError
from study.installation import CONF
from study.learning import losses
from study.schema import Config, validate
from study.schema.task import TASKS, DrawnConfig, TaskConfig
from study.tasks import Task
from study.testing.tasks import Make, TaskContract
from tests import samples
from tests.composed import composed, configured

OVERRIDES: dict[str, list[str]] = {}
"""What a task cannot do without, or what keeps its data small."""
NAMES = list(TASKS)


@pytest.fixture(autouse=True, scope="module")
def _samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Samples in the cache of downloads and in the user's hands."""
    drawn = [name for name in NAMES if issubclass(TASKS.config(name), DrawnConfig)]
    OVERRIDES.update({name: ["task.sequences=200", "task.held_out=70"] for name in drawn})
    OVERRIDES.update(samples.own(tmp_path_factory.mktemp("own")))
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNN_STUDY_CACHE", str(cache))
        for module, name, value in samples.fill(cache):
            patch.setattr(module, name, value)
        yield


@cache
def example(name: str) -> Config:
    """The checked configuration of a task, small where it draws its data."""
    return configured(name, *OVERRIDES.get(name, []))


@cache
def built(name: str, seed: int) -> Task:
    """The task as conf/task/<name>.yaml states it."""
    return tasks.build(example(name).task, example(name).data, seed)


class TestRegisteredTasks(TaskContract):
    @pytest.fixture(params=NAMES)
    def name(self, request: pytest.FixtureRequest) -> str:
        return request.param

    @pytest.fixture
    def config(self, name: str) -> TaskConfig:
        return example(name).task

    @pytest.fixture
    def make(self, name: str) -> Make:
        config = example(name)
        return lambda seed: built(name, seed) if seed else tasks.build(config.task, config.data, seed)

    @pytest.fixture
    def task(self, name: str) -> Task:
        return built(name, 0)

    def test_its_file_names_it_and_a_loss_that_fits(self, name: str, task: Task) -> None:
        config = example(name)
        assert config.task.name == name
        assert losses.build(config.loss).outputs(task.targets) >= 1


def test_every_registered_task_has_a_file_of_its_name_and_no_other_has() -> None:
    assert sorted(TASKS) == sorted(path.stem for path in Path(CONF, "task").glob("*.yaml"))


@pytest.mark.parametrize(
    ("overrides", "known"),
    [
        ("task=forecasting_adding", True),
        ("task=forecasting_adding task.horizon=20", True),  # what comes from 25 steps back passes it
        ("task=forecasting_adding task.horizon=26", False),
        ("task=labelling_temporal_order task.horizon=16", True),
        ("task=labelling_temporal_order task.horizon=17", False),
        ("task=language_copying task.delay=30 task.horizon=35", True),
        ("task=language_copying task.delay=30 task.horizon=36", False),
        ("task=labelling_parity task.horizon=19", True),
        ("task=labelling_parity task.horizon=20", False),
        ("task=forecasting_sine_mix", False),
        ("task=language_bible_char", False),
    ],
)
def test_a_horizon_is_known_if_the_formula_of_the_task_reaches_as_far_back(overrides: str, known: bool) -> None:
    config = validate(composed(*overrides.split(), *OVERRIDES.get(overrides.split(maxsplit=1)[0][5:], [])))
    assert config.task.horizon_known == known
    assert tasks.build(config.task, config.data, 0).horizon_known == known


def test_a_task_is_configured_from_its_file_and_some_values_without_hydra() -> None:
    assert tasks.configure("labelling_parity") == example("labelling_parity").task.model_copy(
        update={"sequences": 10000, "held_out": 1000}
    )
    assert tasks.configure("forecasting_adding", seq_len=80).horizon == 40
    with pytest.raises(ConfigError, match=r"'labeling_parity'.*did you mean 'labelling_parity'"):
        tasks.configure("labeling_parity")
    with pytest.raises(ValueError, match="length"):
        tasks.configure("labelling_parity", length=3)
