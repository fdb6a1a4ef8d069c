"""Sweeps on real engines: databases that many share, launchers of other machines, processes killed at random."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from study.bench.claims import record
from study.bench.reliability.secrets import CELL, dump, found_in, secret
from study.schema import Config
from study.sweep.trials.storage import open_study
from study.tracking import view, writer
from study.tracking.description import describe
from study.tracking.place import Place
from study.tracking.reader import Logged, search
from tests import engines
from tests.engines import wait_for
from tests.typed import started, typed

Database = Callable[[str], str]
ROOT = Path(__file__).resolve().parents[1]
TINY = ("trainer.max_updates=3", "probe=none", "model.hidden_size=4", "task.batch_size=512")


SLUG = "tried"


def sweep(*arguments: str, slug: str = SLUG) -> list[str]:
    return ["--multirun", f"slug={slug}", *arguments]


def environment(folder: Path, storage: str, store: str, **more: str) -> dict[str, str]:
    """Where a command of the test finds the study, the runs, the data and the code."""
    if not (folder / ".data").exists():
        (folder / ".data").symlink_to(ROOT / ".data")
    return {**os.environ, "PYTHONPATH": str(ROOT), "OPTUNA_STORAGE": storage, "MLFLOW_TRACKING_URI": store, **more}


def type_sweep(folder: Path, storage: str, store: str, *arguments: str) -> None:
    """Type a sweep of real, tiny trainings; wait for its end.

    Not started warm: launchers of other packages end their workers when Python exits, which a forked process does not.
    """
    command, env = [sys.executable, "-m", "study.train", *sweep(*TINY, *arguments)], environment(folder, storage, store)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def here(tmp_path: Path) -> tuple[str, str]:
    """SQLite for both."""
    return f"sqlite:///{tmp_path}/optuna.db", f"sqlite:///{tmp_path}/mlflow.db"


@contextmanager
def looking_at(storage: str, slug: str = SLUG) -> Iterator[Study]:
    """The study, once the command has created it."""
    with open_study(storage, slug, "minimize") as study:
        yield study


def made(study: Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def cells(trials: list[FrozenTrial]) -> Counter[str]:
    return Counter(str(trial.user_attrs["cell"]) for trial in trials)


def finished(store: str, slug: str = SLUG) -> list[Logged]:
    """Runs but the sweep's own; where a kill came before a run was linked to its trial, a KILLED one stays."""
    runs = search(store, slug=slug)
    assert {run.status for run in runs} <= {"FINISHED", "KILLED"}
    return [run for run in runs if run.status == "FINISHED" and "kind" not in run.tags]


def kill_a_worker(study: Study) -> int:
    """SIGKILL to a process that works on a trial; return the trial's number."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            owner = trial.user_attrs.get("owner")
            if owner is not None:
                os.kill(owner["pid"], signal.SIGKILL)
                return trial.number
        time.sleep(0.01)
    raise AssertionError("no worker to kill")


def test_of_two_commands_at_once_one_loses_a_worker_the_other_its_parent_and_every_run_is_made_exactly_once(
    database: Database, server: str, tmp_path: Path
) -> None:
    storage = database("crowd")
    arguments = sweep("seed=range(60)", "sweep.workers=2")
    start = partial(started, "tests.crowd", arguments, tmp_path, environment(tmp_path, storage, server))
    with start() as victim, start() as other, looking_at(storage) as study:
        wait_for(lambda: other.poll() is not None or len(made(study)) >= random.randint(5, 20))
        kill_a_worker(study)
        wait_for(lambda: other.poll() is not None or len(made(study)) >= random.randint(25, 40))
        victim.send_signal(signal.SIGKILL)
        assert other.wait(400) == 0
        assert len(made(study)) == 60
        assert set(cells(made(study)).values()) == {1}
        assert not study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING))
    assert len([run for run in search(server, slug="tried") if run.tags.get("kind") == "sweep"]) == 1
    assert Counter(run.tags["seed"] for run in finished(server)) == {str(seed): 1 for seed in range(60)}


def test_four_workers_on_a_new_sqlite_storage_at_once_succeed_every_time(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/mlflow.db"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": store}
    done = typed("tests.crowd", ["cold", str(tmp_path)], tmp_path, env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("round") == 4
    assert {run.tags["outcome"] for run in search(store, slug="scratch")} == {"completed"}


def test_no_secret_around_a_sweep_its_report_and_a_rerun_is_in_a_byte_that_they_keep_or_print(
    database: Database, server: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    addresses = ("store_address", "storage_address", "storage_query")
    variables = ("licence_api_key", "mlflow_tracking_password", "pgpassword", "aws_secret_access_key", "my_token")
    files = (".env", "secrets.yaml", "notes.ipynb", "credentials.csv")
    for name in files:
        (tmp_path / name).write_text(f"password: {secret(name)}\n")
    (tmp_path / "cell.py").write_text(CELL)
    store = server.replace("//", f"//me:{secret('store_address')}@")
    bare = database("guarded")
    storage = bare.replace("postgres:@", f"postgres:{secret('storage_address')}@")
    storage += f"&sslpassword={secret('storage_query')}"
    env = environment(tmp_path, storage, server, **{name.upper(): secret(name) for name in variables})
    own = ("model=own", "model.file=cell.py", "model.options.rate=0.1,0.2", "hydra/launcher=basic")
    swept = typed("study.train", sweep(*TINY, *own, f"tracking.uri={store}", slug="guarded"), tmp_path, env)
    again = typed("study.reproduce", ["rate=0.1 s0", "--trust-code", "--store", store], tmp_path, env)
    assert (swept.returncode, again.returncode) == (1, 0), swept.stderr + again.stdout + again.stderr
    assert "no licence for ***" in swept.stdout, "the run that raised says so"
    assert "identical: " in again.stdout, "the address is given again, and the run is the same"
    kept = tmp_path / "outputs"
    (kept / "said").write_text(swept.stdout + swept.stderr + again.stdout + again.stderr)
    for name in ("guarded", "mlflow"):
        dump(bare.replace("/guarded", f"/{name}"), kept / f"{name}.rows")
    places = (*addresses, *variables, *files)
    assert found_in(kept, places) | found_in(tmp_path_factory.getbasetemp() / "server0", places) == {}
    assert "rate=0.1" in (kept / "mlflow.rows").read_text()
    assert list((tmp_path_factory.getbasetemp() / "server0").rglob("failure/traceback.txt"))


def test_workers_on_a_server_make_every_cell_once_and_the_times_of_their_claims_are_told(
    database: Database, tmp_path: Path
) -> None:
    found = record("PostgreSQL", 20, database("claims"), 2, tmp_path)
    assert (found["cells"], found["once"]) == (20, 20)


def assert_groups_were_composed(storage: str, store: str, slug: str = SLUG) -> None:
    """Two trials, each of the architecture that it was put down for, and each in MLflow."""
    with looking_at(storage, slug) as study:
        trials = {trial.user_attrs["model"]: trial for trial in made(study)}
    assert len(finished(store, slug)) == 2
    logged = {run.params["model.name"]: run for run in finished(store, slug)}
    assert set(trials) == set(logged) == {"elman", "lstm"}
    assert "model.forget_bias" in logged["lstm"].params
    assert "model.forget_bias" not in logged["elman"].params
    for model, trial in trials.items():
        tags = logged[model].tags
        assert trial.user_attrs["run_id"] == logged[model].run_id
        found = (tags["study"], tags["trial"], tags["arm"], tags["phase"])
        assert found == (slug, str(trial.number), f"model={model}", "grid")


@pytest.mark.usefixtures("stores")
def test_joblib_composes_config_groups_in_its_trials(here: tuple[str, str], tmp_path: Path) -> None:
    type_sweep(tmp_path, *here, "hydra/launcher=joblib_pool", "model=elman,lstm")
    assert_groups_were_composed(*here)


def test_a_sweep_on_two_ray_nodes_makes_every_run_once_with_a_worker_on_each(
    database: Database, server: str, tmp_path: Path
) -> None:
    if find_spec("ray") is None:
        engines.missing('Ray: .venv/bin/pip install -e ".[ray]"')
    storage, slug = database("ray"), "ray"
    with engines.ray_cluster(nodes=2) as address:
        engine = ("hydra/launcher=ray_tasks", "sweep.workers=2", f"hydra.launcher.ray.init.address={address}")
        type_sweep(tmp_path, storage, server, *engine, "model=elman,lstm", "seed=range(4)", f"slug={slug}")
    with looking_at(storage, slug) as study:
        assert [*cells(made(study)).values()] == [1] * 8
        workers = {trial.user_attrs["owner"]["pid"] for trial in made(study)}
    assert len(workers) == 2, (
        "a node has one core, which a worker takes as long as there are runs: two workers, two nodes"
    )
    assert Counter(run.params["model.name"] for run in finished(server, slug)) == {"elman": 4, "lstm": 4}


def test_a_sweep_on_slurm_survives_a_killed_task(
    cluster: dict[str, str], database: Database, server: str, tmp_path: Path
) -> None:
    storage, slug = database("slurm"), "slurm"  # beside the crowd's runs on the same server
    engine = ("hydra/launcher=slurm_array", "sweep.workers=2")
    arguments = sweep(*TINY, *engine, "model=elman,lstm", slug=slug)
    env = environment(tmp_path, storage, server, **cluster)
    with started("study.train", arguments, tmp_path, env) as command, looking_at(storage, slug) as study:
        killed = kill_a_worker(study)
        assert command.wait() == 0, command.stdout
        assert study.trials[killed].state == TrialState.FAIL
    assert_groups_were_composed(storage, server, slug)


ANSWERS = ("outcome", "verdict", "cause", "model", "clip", "k2")


@pytest.fixture
def visited(server: str, configure: Callable[..., Config]) -> str:
    """Id of an experiment with a run of two architectures, one of which diverged."""
    for model, ending in (
        ("elman", {"outcome": "diverged", "verdict": "exploding", "cause": "step size"}),
        ("lstm", {"outcome": "completed", "verdict": "short memory", "cause": "reach"}),
    ):
        config = configure(f"tracking.uri={server}", "slug=visited", f"model={model}", "clip=norm", "bptt.k2=20")
        measured = {"rmse/test": 0.25, "skill/opponent": -0.125} if model == "lstm" else {}
        drawn = {"loss/train": 1.0, "grad_norm/total": 0.5, "grad_norm/applied": 0.1, "a/first": 1.0}
        with writer.run(describe(config), Place(f"{model} s0"), {"primary": "rmse"}) as run:
            run.log_points([(update, drawn | measured) for update in (1, 2, 3)])
            run.end(ending)
    return search(server, slug="visited")[0].experiment


def test_a_first_visit_shows_every_run_with_its_answers_and_draws_losses_and_norms_first(
    server: str, visited: str
) -> None:
    with engines.browser() as page:
        page.goto(view.address(server, visited))
        engines.in_sight(page, "lstm s0 · completed (reach)", "elman s0 · diverged (step size)")
        engines.in_sight(page, "rmse/test", view.SHARED, "0.25", "-0.125", *ANSWERS)
        engines.in_sight(page, "diverged", "exploding", "step size", "completed", "short memory", "reach")
        engines.in_sight(page, "elman", "lstm", "norm", "20", "Model training")
        assert not page.locator("[data-assistant-ui]:visible").count()

        page.goto(f"{server}/#/experiments")
        engines.in_sight(page, "visited", "Model registry")
        assert not page.get_by_text("Prompts", exact=True).count()

        page.goto(view.address(server, visited, charts=True))
        engines.in_sight(page, "loss/train", "grad_norm/total", "grad_norm/applied")
        assert page.inner_text("body").index("loss/train") < page.inner_text("body").index("grad_norm/total")


def test_the_assistant_of_mlflow_which_runs_commands_has_no_address(server: str) -> None:
    assert engines.answers(f"{server}/health")
    for name in ("config", "message", "providers"):
        assert not engines.answers(f"{server}/ajax-api/3.0/mlflow/assistant/{name}")
