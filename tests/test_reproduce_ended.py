"""Runs that were interrupted, pruned, killed or out of time, made again as far as they came."""

from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
from mlflow import MlflowClient

from study.errors import ConfigError, Pruned
from study.reproduce.compare import HISTORY, METRICS, numbers
from study.reproduce.replay import recorded
from study.schema import Config
from study.tracking import provenance, writer
from study.tracking.description import describe
from study.tracking.outcomes import FINISHED
from study.tracking.place import Place
from study.tracking.reader import Logged, find, search
from study.train import assemble, train
from study.training.module import RecurrentModule
from tests.reruns import SMALL, rerun

Configure = Callable[..., Config]


class Interrupt(pl.Callback):
    """Ctrl-C after some updates."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        raise KeyboardInterrupt


def test_an_interrupted_run_is_identical_as_far_as_it_came(configure: Configure, store: str) -> None:
    config = configure(*SMALL)
    with pytest.raises(KeyboardInterrupt):
        train(config, place=Place("interrupted"), callbacks=[Interrupt()])
    run = find(store, "interrupted")[0]
    assert run.status == "KILLED"
    assert 0 < len(run.table(HISTORY)) < 20
    assert rerun(run) == 0


class Pruner(pl.Callback):
    """Ends a run at its second validation, as a sweep's pruner does."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: RecurrentModule) -> None:
        if len(pl_module.history) > 10:
            raise Pruned("poor")


def test_a_pruned_run_is_identical_up_to_its_end_weights_included(
    configure: Configure, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(*SMALL, "trainer.max_updates=40", "probe.every=5")
    with pytest.raises(Pruned):
        train(config, place=Place("pruned"), callbacks=[Pruner()])
    run = find(store, "pruned")[0]
    assert (run.status, run.tags["outcome"]) == ("FINISHED", "pruned")
    assert rerun(run) == 0
    total = len(numbers(run)) + len({"data_digest", "weights_initial", "weights_final"})
    assert capsys.readouterr().out.splitlines()[-1] == f"identical: {total:,} of {total:,} values"
    new = search(run.uri, f"tags.reproduces = '{run.run_id}'")[0]
    assert new.tags["outcome"] == "pruned"
    run.tag({"weights_final": "others"})
    assert rerun(run) == 1


def test_of_a_run_whose_process_died_all_is_compared_that_was_written(configure: Configure, store: str) -> None:
    config = configure(*SMALL)
    with pytest.raises(KeyboardInterrupt):
        train(config, place=Place("died"), callbacks=[Interrupt()])
    run = find(store, "died")[0]
    for file in Path(run.folder).glob("*.parquet"):
        file.unlink()
    MlflowClient(store).update_run(run.run_id, "RUNNING")
    assert set(numbers(run)["source"]) == {METRICS}
    assert rerun(run) == 0


def test_of_a_run_that_died_at_once_the_start_is_compared(
    configure: Configure, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(*SMALL)
    (task, module), described = assemble(config), describe(config)
    marks = provenance.fingerprints(provenance.splits(task), module.model)
    with writer.run(described, Place("at once"), marks) as run:
        run.log_texts(provenance.definition(described.config, ()), "definition")
    MlflowClient(store).update_run(run.run_id, "RUNNING")
    assert rerun(find(store, "at once")[0]) == 0
    with pytest.raises(ConfigError, match=f"is RUNNING and has no history.*resume {run.run_id}"):
        recorded(find(store, "at once")[0])
    assert capsys.readouterr().out.splitlines()[-1] == "identical: 2 of 2 values"


def test_a_run_that_the_clock_ended_is_made_with_the_updates_it_had_time_for(logged: Callable[..., Logged]) -> None:
    run = logged("trainer.max_updates=null", "trainer.max_seconds=0.3", "probe.every=10")
    made = len(run.table(HISTORY))
    assert rerun(run) == 0
    new = search(run.uri, f"tags.reproduces = '{run.run_id}'")[0]
    assert len(new.table(HISTORY)) == made
    assert new.tags["outcome"] in FINISHED
    assert rerun(new) == 0
