"""What the Lightning callback leaves behind, and where nothing can be written."""

import warnings
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
from pytorch_lightning.loggers import MLFlowLogger

from study import GradientHistory, api
from study.errors import ConfigError
from tests.test_callback import UPDATES, Regression, fit


@pytest.fixture(autouse=True)
def _without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.callback.record.pictures", lambda *_: [])


def test_where_nothing_can_be_written_training_ends_well_and_the_history_is_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InTheWay(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            (tmp_path / "gradients").touch()

    callback = GradientHistory(folder=tmp_path / "gradients")
    said: list[str] = []
    monkeypatch.setattr(warnings, "warn", lambda text, *_, **__: said.append(str(text)))
    fit(Regression(), callback, callbacks=[callback, InTheWay()])
    monkeypatch.undo()
    assert said[-1].endswith(
        "a file is where a folder is needed; move that away, then the callback's "
        "history.to_parquet(FILE) writes what was recorded"
    )
    assert (len(callback.history), callback.page) == (UPDATES, None)
    again = GradientHistory(folder=tmp_path / "gradients")
    with pytest.raises(ConfigError, match="a file is where a folder is needed"):  # before anything is trained
        fit(Regression(), again, callbacks=[again])


def test_the_run_of_an_mlflow_logger_gets_artifacts_and_tags(store: str, tmp_path: Path) -> None:
    logger = MLFlowLogger("mine", tracking_uri=store, artifact_location=str(tmp_path / "artifacts"))
    callback = GradientHistory(horizon=5, folder=tmp_path / "out")
    fit(Regression(), callback, callbacks=[callback], logger=logger, max_steps=3)
    assert logger.run_id is not None
    found = api.history(logger.run_id, store=store)
    pd.testing.assert_frame_equal(found, callback.history)
    assert set(api.lag_profile(logger.run_id, store=store)["update"]) == {0, 1, 2}
    tags = logger.experiment.get_run(logger.run_id).data.tags
    assert callback.diagnosis is not None
    assert tags.items() >= callback.diagnosis.tags().items()
    assert [file.path for file in logger.experiment.list_artifacts(logger.run_id, "report")]
