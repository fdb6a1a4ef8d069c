"""Sweeps as a person types them: real processes, real (small) trainings, real stores."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient

from study.tracking.outcomes import without_ending
from tests.typed import typed

TINY = ["trainer.max_updates=3", "probe=none", "model.hidden_size=4"]
BROKEN = "task.seq_len=60,100000"  # longer than the data: raises when the data are read
HERE = "hydra/launcher=basic"  # in the process of the command: half the time, where processes are not the point
Type = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the commands are typed: stores and outputs lie here."""
    (tmp_path / ".data").symlink_to(Path(__file__).resolve().parents[1] / ".data")
    return tmp_path


@pytest.fixture
def type_sweep(folder: Path) -> Type:
    """Type a sweep, wait for its end."""
    return lambda *arguments: typed("study.train", sweep(*arguments), folder, environment(folder))


def sweep(*arguments: str) -> list[str]:
    return ["--multirun", "slug=tried", *TINY, *arguments]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}


def runs(folder: Path) -> list[tuple[str, str]]:
    """Name, without what became of it, and status of every run in MLflow."""
    with sqlite3.connect(folder / "mlflow.db") as store:
        found = store.execute("select name, status from runs order by name").fetchall()
    return [(without_ending(name), status) for name, status in found]


def trials(folder: Path) -> list[str]:
    """State of every trial."""
    with sqlite3.connect(folder / "optuna.db") as store:
        return [state for (state,) in store.execute("select state from trials order by number")]


@pytest.mark.usefixtures("stores")
def test_an_arm_that_raises_leaves_the_others_alone_is_named_at_the_end_and_makes_exit_code_1(type_sweep, folder):
    ended = type_sweep(BROKEN, "seed=0,1", "sweep.workers=1")
    assert ended.returncode == 1, ended.stderr
    assert all(f"] seq_len=60 s{seed}: " in ended.stdout for seed in (0, 1))
    assert "seq_len=100000 s1: failed: ConfigError" in ended.stdout
    assert ended.stdout.splitlines()[-1].startswith("Results: MLflow experiment 'tried'")
    assert runs(folder) == [(name, "FINISHED") for name in ("seq_len=60 s0", "seq_len=60 s1", "sweep tried")]
    assert sorted(trials(folder)) == ["COMPLETE", "COMPLETE", "FAIL", "FAIL"]

    again = type_sweep(HERE, "task.seq_len=60", "seed=0,1,2")
    assert again.returncode == 0, again.stderr
    assert sorted(trials(folder)) == ["COMPLETE"] * 3 + ["FAIL"] * 2  # the two of before are not made again


@pytest.mark.usefixtures("stores")
def test_a_search_ends_with_its_winner_confirmed_on_the_seeds(type_sweep, folder):
    ended = type_sweep(HERE, "optimizer.lr=interval(0.001,0.1)", "sweep.trials=3", "seed=0,1")
    assert ended.returncode == 0, ended.stderr
    assert trials(folder) == ["COMPLETE"] * 5
    with sqlite3.connect(folder / "mlflow.db") as store:
        phases = store.execute("select value, count(*) from tags where key='phase' group by value").fetchall()
    assert phases == [("confirm", 2), ("search", 3)]


@pytest.mark.usefixtures("stores")
def test_a_diverging_arm_is_a_result(type_sweep):
    ended = type_sweep(HERE, "optimizer=sgd", "optimizer.lr=0.01,1e30", "trainer.max_updates=20")
    assert ended.returncode == 0, ended.stderr
    assert "lr=1e+30 s0: diverged (step size), undecided" in ended.stdout


@pytest.mark.parametrize("wrong", ["modle=elman,lstm", "model=elman,lstn", "optimizer.lr=interval(1,0)"])
def test_a_wrong_arm_is_refused_with_exit_code_2_and_nothing_is_logged(type_sweep, folder, wrong):
    ended = type_sweep(wrong)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert not list(folder.glob("*.db"))


def test_a_launcher_that_is_not_installed_is_refused_before_anything_is_logged(type_sweep, folder):
    ended = type_sweep("hydra.launcher._target_=hydra_plugins.nowhere.Launcher")
    assert ended.returncode == 2
    assert "hydra/launcher = 'local': hydra_plugins.nowhere.Launcher cannot be used" in ended.stderr
    assert not list(folder.glob("*.db"))


def test_two_commands_at_once_on_new_stores_share_the_runs(type_sweep, folder):
    with ThreadPoolExecutor() as pool:
        ended = list(pool.map(lambda _: type_sweep("model=elman,gru", "seed=0,1", "sweep.workers=1"), range(2)))
    assert [one.returncode for one in ended] == [0, 0], ended[0].stderr + ended[1].stderr
    assert trials(folder).count("COMPLETE") == 4
    assert {status for _, status in runs(folder)} == {"FINISHED"}


def wait_for(condition: Callable[[], bool], seconds: float = 180) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"still waiting after {seconds:.0f} s"
        time.sleep(0.1)


@pytest.mark.usefixtures("stores")
def test_ctrl_c_ends_the_runs_as_killed_and_the_same_command_goes_on_with_them(type_sweep, folder):
    long = [
        "seed=0,1",
        "trainer.max_updates=1500",
        "trainer.validate_every=1500",
        "trainer.checkpoint=0",
        "sweep.workers=2",
    ]
    with subprocess.Popen(
        [sys.executable, "-m", "study.train", *sweep(*long)],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        wait_for(lambda: len(list(folder.glob("outputs/tried/checkpoints/*.ckpt"))) == 2)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    assert process.returncode == 130
    assert "Interrupted: 2 of 2 runs are still to be made" in said
    assert "Traceback" not in said
    assert {status for _, status in runs(folder)} == {"KILLED"}
    assert set(trials(folder)) == {"FAIL"}

    assert type_sweep(*long).returncode == 0
    assert [status for _, status in runs(folder)] == ["FINISHED"] * 3  # the same two, and the sweep's
    with sqlite3.connect(folder / "mlflow.db") as store:
        kept = [int(n) for (n,) in store.execute("select value from tags where key='resumed_after'")]
    assert len(kept) == 2
    assert all(0 < n < 1500 for n in kept)


@pytest.mark.usefixtures("stores")
def test_a_run_deleted_in_mlflow_is_made_again_and_no_other(type_sweep, folder):
    asked = [HERE, "model=elman,lstm", "seed=0"]
    assert type_sweep(*asked).returncode == 0
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    (experiment,) = [e.experiment_id for e in client.search_experiments() if e.name == "tried"]
    before = {without_ending(run.info.run_name): run for run in client.search_runs([experiment])}
    client.delete_run(before["lstm s0"].info.run_id)

    again = type_sweep(*asked)
    assert again.returncode == 0, again.stderr
    assert "1 of the runs of this study are no longer in" in again.stdout
    after = {without_ending(run.info.run_name): run for run in client.search_runs([experiment])}
    assert after.keys() == before.keys()
    assert after["elman s0"].info.run_id == before["elman s0"].info.run_id
    made, deleted = after["lstm s0"], before["lstm s0"]
    assert made.info.run_id != deleted.info.run_id
    assert made.data.tags["weights_final"] == deleted.data.tags["weights_final"]
    assert "no result yet" not in (folder / "outputs/tried/report/report.html").read_text()
    assert trials(folder) == ["COMPLETE"] * 3

    (folder / "optuna.db").unlink()
    assert "knows no run of this study, but" in type_sweep(HERE, "model=elman", "seed=0").stdout
