"""Tracked runs in a notebook."""

from collections.abc import Callable

import pytest

from study import api
from study.errors import ConfigError
from study.schema import Config
from study.train import train

Configure = Callable[..., Config]
SMALL = ("slug=notebook", "model.hidden_size=4", "trainer.max_updates=10", "task.batch_size=512")


@pytest.fixture
def run_id(configure: Configure, store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A small run in the store of the environment."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    return train(configure(*SMALL)).run_id


def test_a_run_is_listed_with_its_parameters_verdict_and_measures(run_id: str) -> None:
    row = api.runs("notebook").loc[run_id]
    assert row["params.model.hidden_size"] == "4"
    assert row["tags.verdict"]
    assert row["metrics.rmse/test"] > 0


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
    assert api.reproduce(run_id).identical
    assert len(api.runs("notebook")) == before


def test_several_runs_where_one_is_needed_are_refused(run_id: str, configure: Configure) -> None:
    train(configure(*SMALL, "seed=1"))
    with pytest.raises(ConfigError, match="one is needed"):
        api.history("notebook")
