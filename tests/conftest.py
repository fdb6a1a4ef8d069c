"""What every test stands on: checked tensor shapes, one thread, configs composed as the command line does."""

import gc
import importlib
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import Engine, event

from tests import engines, shapes

gc.set_threshold(10_000, 10, 10)  # by default a twentieth of the time goes into walks through all that is alive

LIBRARIES = ("matplotlib.figure", "mlflow", "optuna", "pytorch_lightning", "scipy.stats", "sklearn.ensemble")
# Before the hook: what a checked module is the first to import is compiled anew, not read from its cache.
for library in LIBRARIES:
    importlib.import_module(library)

shapes.check("study")  # before anything of `study` is imported

ROOT = Path(__file__).resolve().parents[1]


SLOW = (
    "test_sweep_engines",
    "test_fork",
    "test_resume",
    "test_why",
    "test_probes_suite",
    "test_install",
    "test_verify",
    "test_reproduce",
    "test_module",
    "test_autopsy",
    "test_trained",
    "test_train",
    "test_reproduce_ended",
    "test_models",
    "test_schema_budget",
    "test_sweep",
)
"""Files with most of the work: first, so that no process is left alone with one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, in this order; the others as they were."""
    place = {name: number for number, name in enumerate(SLOW)}
    items.sort(key=lambda item: place.get(item.path.stem, len(SLOW)))


def pytest_collection_finish() -> None:
    """What was imported and collected is no garbage."""
    gc.freeze()


@event.listens_for(Engine, "connect")
def _wait_for_no_disk(connection: object, _: object) -> None:
    """The stores of tests need not survive a power cut: a commit that waits for the disk takes 30 times as long."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


@pytest.fixture(autouse=True)
def _plain_torch() -> Iterator[None]:
    """One thread, float32 and a known random state for every test, whatever the one before did."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    torch.default_generator.manual_seed(0)  # `torch.manual_seed` keeps the stack of every call, see `study.seeding`
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def double_precision(_plain_torch: None) -> None:
    """float64, for tests that hold gradients against formulas."""
    torch.set_default_dtype(torch.float64)


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """SIGINT interrupts, in the test and in the processes it starts, for those tests that send it.

    A shell starts the jobs in its background with SIGINT ignored, what is ignored stays so in every process started
    from there, and Lightning leaves it ignored after an interruption.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of each kind, `mlflow.db` and `optuna.db`: the tables and nothing in them."""
    from mlflow import MlflowClient
    from optuna.storages import RDBStorage

    folder = tmp_path_factory.mktemp("tables")
    MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
    RDBStorage(f"sqlite:///{folder}/optuna.db").engine.dispose()
    return folder


@pytest.fixture(scope="session")
def store(tables: Path) -> str:
    """One MLflow store for the whole session."""
    return f"sqlite:///{shutil.copy(tables / 'mlflow.db', tables / 'session.db')}"


@pytest.fixture
def stores(tables: Path, tmp_path: Path) -> Path:
    """The test's folder with empty stores in it, for tests that are not about new ones: their tables take seconds."""
    for name in ("mlflow.db", "optuna.db"):
        shutil.copy(tables / name, tmp_path)
    return tmp_path


@pytest.fixture
def configure(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Compose and check a configuration from overrides; whatever is written lands in a folder of the test."""
    from study.schema import validate
    from tests.composed import composed

    monkeypatch.chdir(tmp_path)
    return lambda *overrides: validate(composed(f"tracking.uri={store}", "trainer.progress_bar=false", *overrides))


@pytest.fixture
def quick_opponents(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opponents that learn from little, for tests of large data sets that are about something else.

    Their scores are kept apart from those of opponents that learnt all.
    """
    from study import data

    apart, folder = tmp_path_factory.getbasetemp() / "opponents", data.folder
    monkeypatch.setattr("study.opponents.ngrams.MOST_TOKENS", 10_000)
    monkeypatch.setattr("study.opponents.perceptron.EPOCHS", 1)
    monkeypatch.setattr(data, "folder", lambda given, name: apart if name == "opponents" else folder(given, name))


@pytest.fixture
def logged(configure: Callable[..., Any]) -> Callable[..., Any]:
    """Train a small run from overrides and read it back; without probes where they do not ask for any."""
    from study.tracking.reader import find
    from study.train import train
    from tests.reruns import SMALL

    def trained(*overrides: str) -> Any:
        quiet = [] if any(text.startswith("probe") for text in overrides) else ["probe=none"]
        config = configure(*SMALL, *quiet, *overrides)
        return find(config.tracking.uri, train(config, overrides).run_id)[0]

    return trained


@pytest.fixture(scope="module")
def once() -> Callable[..., Any]:
    """Trains a checked configuration the first time that a test of the file asks for it, and reads the run.

    For tests that leave the run as it is.
    """
    from study.tracking.reader import find_one
    from study.train import train

    made: dict[str, str] = {}

    def found(config: Any) -> Any:
        key = config.model_dump_json()
        if key not in made:
            made[key] = train(config).run_id
        return find_one(config.tracking.uri, made[key])

    return found


@pytest.fixture(scope="session")
def database() -> Iterator[Callable[[str], str]]:
    """Makes a new database on a PostgreSQL server; gives its URL."""
    from study.bench.reliability.postgres import postgres

    with postgres() as create:
        yield create


@pytest.fixture(scope="session")
def server(database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server on PostgreSQL."""
    with engines.mlflow_server(database("mlflow"), tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment in which a Slurm cluster of this machine is found."""
    if not engines.slurm_is_here():
        engines.missing("Slurm: as root, apt-get install slurm-wlm munge")
    with engines.slurm(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files of docs/own-cell.md in it."""
    from tests.own_page import put_files

    monkeypatch.chdir(tmp_path)
    put_files(tmp_path)
    return tmp_path
