"""What is pruned: the hopeless, among trials of their own arm, and trials whose gradients are sick; never the best."""

import os
from pathlib import Path

import optuna
import pytest

from study.errors import ConfigError
from study.sweep.trials.pruner import PRUNERS, build_pruner
from study.tracking.reader import search
from tests.typed import typed

EXPECTED = {"hyperband": 0.3}  # the brackets that give every trial all its time are its hedge
OPTIONS: dict[str, dict[str, object]] = {
    "median": {"n_startup_trials": 2},
    "percentile": {"percentile": 50.0, "n_startup_trials": 2},
    "asha": {"min_resource": 1, "reduction_factor": 2},
    "hyperband": {"min_resource": 1, "max_resource": 9, "reduction_factor": 2},
    "wilcoxon": {"p_threshold": 0.1, "n_startup_steps": 2},
    "threshold": {"upper": 50.0},
}


def share_pruned(pruner: dict[str, object], arms: dict[str, float], trials: int = 20) -> dict[str, float]:
    """The share of trials that end early, by arm; a trial's values are its arm's level, and a little noise of its own.

    A level is that of every second trial; the others are at 1.
    """
    study = optuna.create_study(pruner=build_pruner(pruner), sampler=optuna.samplers.RandomSampler(0))
    pruned = dict.fromkeys(arms, 0)
    for number in range(trials):
        for arm, level in arms.items():
            bad = number % 2 == 0
            study.enqueue_trial({}, user_attrs={"cell": {"arm": arm, "phase": "search"}})
            trial = study.ask()
            for step in range(1, 10):
                trial.report((level if bad else 1.0) + 0.001 * ((7 * number + step) % 5), step)
                if trial.should_prune():
                    pruned[arm] += bad
                    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                    break
            else:
                study.tell(trial, level if bad else 1.0)
    return {arm: 2 * count / trials for arm, count in pruned.items()}


def test_every_pruner_has_a_case() -> None:
    assert set(OPTIONS) == set(PRUNERS)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", PRUNERS)
def test_most_trials_of_a_hopeless_level_are_pruned(name: str) -> None:
    assert share_pruned({"name": name, **OPTIONS[name]}, {"arm": 100.0})["arm"] >= EXPECTED.get(name, 0.5)


@pytest.mark.parametrize("name", ["median", "wilcoxon"])
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_an_arm_that_is_worse_than_another_is_not_pruned_for_that(name: str) -> None:
    alone = share_pruned({"name": name, **OPTIONS[name]}, {"poor": 1.0})
    beside = share_pruned({"name": name, **OPTIONS[name]}, {"poor": 1.0, "good": -100.0})
    assert beside["poor"] == alone["poor"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "medain"}, "did you mean 'median'"),
        (
            {"name": "median", "n_startup": 1},
            "n_startup: median has no such argument; did you mean",
        ),
        ({"name": "percentile", "percentile": 200.0}, "between 0 and 100"),
        ({}, "allowed: median, percentile"),
    ],
)
def test_a_pruner_that_cannot_be_built_is_refused_by_key(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build_pruner(options)


@pytest.mark.usefixtures("stores")
def test_trials_of_an_arm_with_vanishing_gradients_are_all_pruned_if_asked_and_keep_their_histories(
    tmp_path: Path,
) -> None:
    store = f"sqlite:///{tmp_path}/mlflow.db"
    arguments = [
        "slug=sick", f"tracking.uri={store}", "hydra/launcher=basic", "task=forecasting_adding", "task.seq_len=24",
        "task.sequences=320", "task.held_out=64",
        "model.gain=0.01,1", "model.hidden_size=8", "probe.every=10", "probe.lyapunov=null", "trainer.max_updates=40",
        "trainer.validate_every=10", "sweep.bad_verdicts=2", "sweep.trials=2", "optimizer.lr=interval(1e-4,1e-3)",
    ]  # fmt: skip
    done = typed("study.train", ["--multirun", *arguments], tmp_path, os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [run for run in search(store, slug="sick") if run.tags.get("phase") == "search"]
    pruned = {(run.params["model.gain"], run.status, run.tags["outcome"] == "pruned") for run in runs}
    assert pruned == {("0.01", "FINISHED", True), ("1.0", "FINISHED", False)}
    lengths = {run.params["model.gain"]: len(run.table("gradients.parquet")) for run in runs}
    assert lengths["0.01"] < lengths["1.0"] == 40
