"""Tracked runs in a notebook."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from study import api
from study.errors import ConfigError
from study.installation import CONF
from study.schema import Config
from study.sweep.start import start
from study.train import train

Configure = Callable[..., Config]
MADE: dict[str, str] = {}
"""The run of every store."""
SMALL = ("slug=notebook", "model.hidden_size=4", "trainer.max_updates=10", "task.batch_size=512")


@pytest.fixture
def run_id(configure: Configure, store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small run in the store of the environment, made once."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    config = configure(*SMALL)
    if store not in MADE:
        MADE[store] = train(config).run_id
    return MADE[store]


def test_a_run_is_listed_with_its_parameters_verdict_and_measures(run_id: str) -> None:
    row = api.runs("notebook").loc[run_id]
    assert row["params.model.hidden_size"] == 4
    assert row["params.optimizer.lr"] > 0
    assert row["params.model.name"] == "elman"
    assert row["tags.verdict"]
    assert row["metrics.rmse/test"] > 0


def test_runs_are_filtered_and_taken_from_any_store_or_experiment(
    run_id: str, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///nowhere.db")
    assert api.runs("notebook", "params.model.name = 'gru'", store).empty
    assert run_id in api.runs("notebook", "params.model.name = 'elman'", store).index
    assert run_id in api.runs(store=store).index
    assert len(api.history(run_id, store)) == 10
    with pytest.raises(ConfigError, match="no run was trained under this slug"):
        api.runs("notebok", store=store)


def test_a_history_has_one_row_an_update(run_id: str) -> None:
    history = api.history(run_id)
    assert history.index.tolist() == list(range(1, 11))
    assert {"loss", "lr", "grad_norm/total", "grad_norm/applied", "grad_norm/head.bias"} < set(history.columns)


def test_a_lag_profile_starts_at_the_loss(run_id: str) -> None:
    profile = api.lag_profile(run_id)
    assert profile["lag"].min() == 0
    assert {"update", "of", "log_phi"} <= set(profile.columns)


def test_a_reproduction_is_identical_and_not_listed(run_id: str) -> None:
    before = len(api.runs("notebook"))
    made = api.reproduce(run_id)
    assert made.identical
    assert repr(made).startswith(f"The new run is {made.run_id}.\nidentical: ")
    assert len(api.runs("notebook")) == before


def test_overrides_make_a_variation(run_id: str) -> None:
    made = api.reproduce(run_id, "seed=9")
    assert made.comparison is None
    assert f"variation of {run_id}" in repr(made)


def test_to_import_it_is_cheap() -> None:
    program = "import sys; from study import api; print(sorted({'torch', 'mlflow', 'hydra'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=CONF.parent, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_answer_of_any_length_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe holds 64 KiB, which the results of some hundred runs are more than."""
    command = tmp_path / "python"
    command.write_text("#!/bin/sh\nexec timeout 5 sh -c 'printf [; yes 1, | head -100000; printf 2]'\n")
    command.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(command))
    assert len(start([], os.environ)) == 100_001


def test_several_runs_where_one_is_needed_are_refused(run_id: str, configure: Configure) -> None:
    train(configure(*SMALL, "seed=1"))
    with pytest.raises(ConfigError, match="stands for 2 runs; give the id of one"):
        api.history("notebook")
