"""Samplers by name: each passes Optuna's own suite, sees its own arm only, and gets the arguments that Optuna knows."""

import importlib.util
from collections.abc import Callable

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase

from study.errors import ConfigError
from study.sweep.trials import sampler as sampling
from study.sweep.trials.sampler import SAMPLERS, ArmSampler, build_sampler

HERE = [name for name in SAMPLERS if name != "cmaes" or importlib.util.find_spec("cmaes")]
TOGETHER: list[str | dict[str, object]] = [
    {"name": "tpe", "multivariate": True, "n_startup_trials": 0},
    "qmc",
    *([{"name": "cmaes", "n_startup_trials": 0}] if "cmaes" in HERE else []),
]
"""Also the Gaussian process passes, in two minutes."""
quiet = pytest.mark.filterwarnings("ignore")


class OneArm:
    """Every trial belongs to the search of one arm."""

    @pytest.fixture(autouse=True)
    def _one_arm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sampling, "search_of", lambda trial: "arm")


@quiet
@pytest.mark.parametrize("name", HERE)
class TestSuiteOfOptuna(OneArm, BasicSamplerTestCase):
    @pytest.fixture
    def sampler(self, name: str) -> Callable[[], BaseSampler]:
        return lambda: build_sampler(name, 40, 0)


@quiet
@pytest.mark.parametrize("options", TOGETHER)
class TestSuiteOfOptunaForKeysProposedTogether(OneArm, RelativeSamplerTestCase):
    @pytest.fixture
    def sampler(self, options: str | dict[str, object]) -> Callable[[], BaseSampler]:
        return lambda: build_sampler(options, 40, 0)


def searched(sampler: ArmSampler, arms: dict[str, float], trials: int) -> dict[str, list[tuple[float, float]]]:
    """The values that a search proposes in turn for arms whose optimum lies at `arms`."""
    study = optuna.create_study(sampler=sampler)
    proposed: dict[str, list[tuple[float, float]]] = {arm: [] for arm in arms}
    for _ in range(trials):
        for arm, optimum in arms.items():
            study.enqueue_trial({}, user_attrs={"cell": {"arm": arm, "phase": "search"}})
            trial = study.ask()
            x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
            proposed[arm].append((x, y))
            study.tell(trial, (x - optimum) ** 2 + (y - optimum) ** 2)
    return proposed


@quiet
@pytest.mark.parametrize("name", [name for name in HERE if name not in ("random", "qmc", "gp")])
def test_of_two_arms_searched_together_each_finds_its_own_optimum(name: str) -> None:
    found = searched(build_sampler(name, 48, 0), {"low": 0.2, "high": 0.8}, 48)
    for arm, optimum in {"low": 0.2, "high": 0.8}.items():
        assert min(abs(x - optimum) + abs(y - optimum) for x, y in found[arm][-8:]) < 0.25


@quiet
@pytest.mark.parametrize("name", ["qmc"])
def test_each_arm_walks_along_the_whole_of_a_sequence(name: str) -> None:
    both = searched(build_sampler(name, 16, 0), {"a": 0.5, "b": 0.5}, 16)
    alone = searched(build_sampler(name, 16, 1), {"a": 0.5}, 16)
    assert (
        both["a"][1:] == both["b"][1:] == alone["a"][1:]
    )  # the first is drawn at random: it says which keys there are


@quiet
def test_keys_of_an_arm_are_proposed_together_whatever_another_arm_lacks() -> None:
    study = optuna.create_study(sampler=build_sampler({"name": "gp", "n_startup_trials": 1}, 8, 0))
    for _ in range(4):
        for arm, keys in {"a": ("x", "y"), "b": ("x",)}.items():
            study.enqueue_trial({}, user_attrs={"cell": {"arm": arm, "phase": "search"}})
            trial = study.ask()
            study.tell(trial, sum(trial.suggest_float(key, 0, 1) for key in keys))
            if trial.number > 2:
                assert set(trial.relative_params) == set(keys)


@quiet
def test_parents_of_a_generation_are_of_the_arm() -> None:
    study = optuna.create_study(sampler=build_sampler({"name": "nsgaii", "population_size": 4}, 20, 0))
    for number in range(20):
        for arm in ("a", "b"):
            study.enqueue_trial({}, user_attrs={"cell": {"arm": arm, "phase": "search"}})
            trial = study.ask()
            study.tell(trial, trial.suggest_float("x", 0, 1) + number)
    notes = study._storage.get_study_system_attrs(study._study_id)
    kept = {key: {study.trials[i].user_attrs["cell"]["arm"] for i in ids} for key, ids in notes.items() if ids}
    assert kept
    assert all(arms == {key.partition(":")[0]} for key, arms in kept.items())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("tep", "sweep.sampler.name = 'tep': no such sampler; did you mean 'tpe'"),
        ({"n_startup_trials": 3}, "allowed: tpe, random"),
        ({"name": "tpe", "n_startup": 3}, "sweep.sampler.n_startup: tpe has no such argument; did you mean"),
        ({"name": "tpe", "seed": 3}, "sweep.sampler.seed: tpe has no such argument"),
        ({"name": "nsgaii", "population_size": 1}, "population_size"),
    ],
)
def test_a_sampler_that_cannot_be_built_is_refused_by_key(options: str | dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_sampler(options, 10, 0)


def test_a_sampler_whose_package_is_missing_is_refused_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs the package cmaes"):
        build_sampler("cmaes", 10, 0)


def test_a_confirmation_keeps_its_values_and_teaches_the_search_nothing() -> None:
    study = optuna.create_study(sampler=build_sampler("gp", 10, 0))
    study.enqueue_trial({"x": 0.25}, user_attrs={"cell": {"arm": "a", "phase": "confirm"}})
    trial = study.ask()
    assert trial.suggest_float("x", 0, 1) == 0.25
    study.tell(trial, 1.0)
    study.enqueue_trial({}, user_attrs={"cell": {"arm": "a", "phase": "search"}})
    assert study.ask().relative_params == {}
