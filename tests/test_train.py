"""A run from its configuration to its verdict, and the command line as a shell sees it."""

import os
import random
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytorch_lightning as pl
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from mlflow import MlflowClient
from mlflow.data import get_source
from mlflow.entities import Run

from study.columns import FIXED
from study.installation import CONF
from study.schema import Config
from study.sweep.planning.build import build_plan
from study.sweep.planning.composer import Composer
from study.sweep.planning.grammar import NAME, grids
from study.tasks.forecasting.adding import Adding
from study.tracking import view
from study.tracking.outcomes import FINISHED
from study.tracking.place import Place
from study.train import train
from tests import engines
from tests.typed import Typed, started

Configure = Callable[..., Config]
TINY = ["task=forecasting_adding", "task.sequences=80", "task.held_out=20", "task.seq_len=12", "task.horizon=5"]
TINY += ["model.hidden_size=4", "trainer.max_updates=30", "trainer.validate_every=10"]
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
FULL = [name for name in EXPERIMENTS if name.endswith("_full")]


def history(uri: str, run_id: str, folder: Path) -> pa.Table:
    return pq.read_table(MlflowClient(uri).download_artifacts(run_id, "gradients.parquet", str(folder)))


def bits(table: pa.Table) -> list[bytes]:
    return [column.combine_chunks().buffers()[1].to_pybytes() for column in table.columns]


def test_the_same_configuration_and_seed_give_the_same_history_bit_for_bit(
    configure: Configure, tmp_path: Path
) -> None:
    config = configure(*TINY, "model=lstm", "model.dropout=0.2", "clip=norm", "slug=repeated")
    runs = [train(config).run_id, train(config).run_id]
    one, same = (history(config.tracking.uri, run_id, tmp_path) for run_id in runs)
    assert one.num_rows == 30
    assert bits(one) == bits(same)
    other = train(configure(*TINY, "model=lstm", "model.dropout=0.2", "clip=norm", "slug=repeated", "seed=1"))
    assert bits(one) != bits(history(config.tracking.uri, other.run_id, tmp_path))


def test_a_run_leaves_its_measures_its_verdict_and_every_update(configure: Configure, tmp_path: Path) -> None:
    config = configure(*TINY, "slug=complete")
    result = train(config, ["model.hidden_size=4"], Place(checkpoints=tmp_path / "checkpoints"))
    run = MlflowClient(config.tracking.uri).get_run(result.run_id)
    table = history(config.tracking.uri, result.run_id, tmp_path)
    assert run.info.status == "FINISHED"
    assert result.diagnosis.outcome in FINISHED
    assert result.diagnosis.tags().items() <= run.data.tags.items()
    assert run.data.tags["solved"] == str(result.diagnosis.outcome == "solved")
    assert run.data.tags["mlflow.note.content"] == f"{result.diagnosis.markdown()}\n\n{view.pictures(result.run_id)}"
    files = {file.path for file in MlflowClient(config.tracking.uri).list_artifacts(result.run_id)}
    assert not {file for file in files if file.endswith(".png")}  # pictures are drawn when somebody looks
    assert table["update"].to_pylist() == list(range(1, 31))
    assert table.column_names[1 : 1 + len(FIXED)] == list(FIXED)
    stated = {"primary": "rmse", "direction": "minimize", "clip": "none", "k2": "full"}
    assert stated.items() <= run.data.tags.items()
    assert run.data.tags["horizon_known"] in ("True", "False")
    assert {"loss/train", "loss/val", "rmse/val", "rmse/test", "rmse/baseline", "grad_norm/total"} <= set(
        run.data.metrics
    )
    assert result.metrics["rmse/val"] == pytest.approx(run.data.metrics["rmse/val"])
    assert list((tmp_path / "checkpoints").glob("*.ckpt"))
    assert [get_source(used.dataset).to_dict() for used in run.inputs.dataset_inputs] == [{"uri": Adding.source}] * 3
    assert float(run.data.tags["validation_seconds"]) == pytest.approx(result.validating, abs=1e-3)
    long = replace(result, seconds=40.0, validating=8.0)
    assert "30 updates in 40 s, 20% of it validation;" in long.summary(config.slug, config.tracking.uri)
    assert "validation;" not in replace(long, validating=1.0).summary(config.slug, config.tracking.uri)
    summary = result.summary(config.slug, config.tracking.uri)
    assert f"without memory: rmse {result.metrics['rmse/baseline']:.4g}" in summary


@pytest.mark.parametrize("probe", ["none", "history", "full"])
def test_the_charts_of_the_largest_sensible_run_stay_at_forty(
    configure: Configure, tmp_path: Path, probe: str
) -> None:  # fmt: skip
    (tmp_path / "song.txt").write_text("row row row your boat gently down the stream\n" * 300)
    data = ["task=language_text", f"task.path={tmp_path}/song.txt", "model=lstm", "model.num_layers=2"]
    small = ["task.batch_size=4", "model.hidden_size=16"]
    budget = ["trainer.max_updates=4", "trainer.validate_every=2"]
    config = configure(*data, *small, *budget, "clip=autoclip", f"probe={probe}", "slug=charts")
    run = MlflowClient(config.tracking.uri).get_run(train(config).run_id)
    assert len(run.data.metrics) <= 40


class Breaks(pl.Callback):
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        raise ArithmeticError("it broke")


def test_a_run_that_fails_says_so_and_keeps_its_history(configure: Configure, tmp_path: Path) -> None:
    config = configure(*TINY, "slug=fails")
    with pytest.raises(ArithmeticError, match="it broke"):
        train(config, callbacks=[Breaks()])
    run = latest(config.tracking.uri, "fails")
    assert (run.info.status, run.data.tags["outcome"]) == ("FAILED", "failed")
    assert run.data.tags["error"] == "ArithmeticError: it broke"
    assert history(config.tracking.uri, run.info.run_id, tmp_path).num_rows == 3  # of 80 sequences in batches of 32


@pytest.mark.usefixtures("quick_opponents")
@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in FULL])
def test_every_experiment_trains_on_each_of_its_tasks(configure: Configure, name: str) -> None:
    small = ["probe=none", "probe.lyapunov=null", "task.batch_size=500"]
    small += ["model.hidden_size=16", "model.match_parameters=null"]
    sweep, uri = configure(f"experiment={name}").sweep, configure().tracking.uri
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("train", [f"experiment={name}", f"tracking.uri={uri}"], RunMode.MULTIRUN)
        arms = build_plan(sweep, [f"experiment={name}", f"tracking.uri={uri}", *small], Composer(loader, master)).arms
    budget = {"max_updates": 2, "max_steps": None, "max_epochs": None, "validate_every": 100}
    for arm in {arm.config.task.name: arm for arm in arms.values()}.values():
        brief = arm.config.trainer.model_copy(update=budget)
        assert train(arm.config.model_copy(update={"trainer": brief})).updates <= 2


@pytest.mark.parametrize("name", FULL)
def test_every_experiment_in_the_size_of_its_source_has_arms_that_can_be_run(configure: Configure, name: str) -> None:
    for grid in grids(configure(f"experiment={name}").sweep.arms):
        largest = [f"{key}={values[-1]}" for key, values in grid.items() if key != NAME]
        assert configure(f"experiment={name}", *largest).slug == name


def latest(uri: str, slug: str) -> Run:
    client = MlflowClient(uri)
    found = client.get_experiment_by_name(slug)
    assert found is not None
    return client.search_runs([found.experiment_id], max_results=1)[0]


def shell(folder: Path, store: str, *typed: str) -> AbstractContextManager[Typed]:
    """`python -m study.train` as a shell would start it, its progress bar drawn."""
    env = {**os.environ, "MLFLOW_TRACKING_URI": store, "TTY_COMPATIBLE": "1"}
    return started("study.train", [f"hydra.run.dir={folder / 'output'}", *typed], CONF.parent, env)


def test_an_exploding_run_is_a_finished_measurement(store: str, tmp_path: Path, configure: Configure) -> None:
    uri = configure().tracking.uri
    with shell(tmp_path, uri, "model=elman", "optimizer.lr=50", "clip=none", "slug=exploding") as command:
        assert command.wait() == 0, command.stderr
        assert "the run diverged at update" in command.stdout
        assert "Traceback" not in command.stderr
    run = latest(uri, "exploding")
    assert (run.info.status, run.data.tags["outcome"]) == ("FINISHED", "diverged")
    table = history(uri, run.info.run_id, tmp_path)
    assert table.num_rows == run.data.metrics["run/updates"]
    charted = MlflowClient(uri).get_metric_history(run.info.run_id, "grad_norm/total")
    assert [point.step for point in charted] == table["update"].to_pylist()


def test_a_run_whose_last_update_ruins_the_model_has_diverged_too(configure: Configure) -> None:
    ruin = ["optimizer=sgd", "optimizer.lr=1e30", "trainer.max_updates=1", "slug=ruined"]
    result = train(configure(*TINY, *ruin))
    assert (result.diagnosis.outcome, result.updates) == ("diverged", 1)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_is_killed_and_keeps_its_history(
    sign: signal.Signals, tmp_path: Path, configure: Configure
) -> None:
    uri, slug = configure().tracking.uri, f"stopped-{sign.name}"
    with shell(tmp_path, uri, *TINY, "trainer.max_updates=1000000", f"slug={slug}") as command:
        engines.wait_for(lambda: command.poll() is not None or "loss" in command.stdout)
        assert command.poll() is None, command.stderr
        command.send_signal(sign)
        assert command.wait(300) == 128 + sign, command.stderr
        assert "Traceback" not in command.stderr
        run = latest(uri, slug)
        if sign == signal.SIGINT:
            assert f"Interrupted: `make resume RUN={run.info.run_id}` " in command.stderr
    assert (run.info.status, run.data.tags["outcome"]) == ("KILLED", "killed")
    assert history(uri, run.info.run_id, tmp_path).num_rows > 0


@pytest.mark.parametrize(("optimizer", "rate"), [("adam", 10), ("sgd", 2)])
def test_with_k2_1_nothing_explodes_over_time_and_the_rate_is_to_blame(
    configure: Configure, tmp_path: Path, optimizer: str, rate: float
) -> None:
    """No product of Jacobians over time enters the gradient; the norm grows all the same."""
    draws = random.Random(7)
    price, rows = 100.0, ["date,close"]
    for day in range(500):
        rows.append(f"{date(2021, 1, 4) + timedelta(day)},{price:.4f}")
        price *= 1 + draws.gauss(0, 0.01)
    (tmp_path / "prices.csv").write_text("\n".join(rows) + "\n")
    data = ["task=forecasting_csv", f"task.path={tmp_path}/prices.csv", "task.targets=[close]", "model=elman"]
    steps = [f"optimizer={optimizer}", f"optimizer.lr={rate}", "trainer.max_updates=300"]
    diagnosis = train(configure(*data, "bptt.k2=1", *steps, f"slug=k2-1-{optimizer}")).diagnosis
    assert diagnosis.outcome in ("ruined", "diverged")
    assert diagnosis.verdict == "undecided"
    assert diagnosis.cause.name == "step size"
    assert float(diagnosis.cause.change.removeprefix("optimizer.lr=")) < rate
