"""docs/first-figure.ipynb does what it says: its cells, run in order in a fresh folder, make the figure."""

import contextlib
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from study import train
from study.errors import ConfigError
from study.installation import CONF
from study.report.pages import study as study_page
from study.sweep import start as starting

NOTEBOOK = CONF.parent / "docs" / "first-figure.ipynb"


def start_here(arguments: Sequence[str], environment: Mapping[str, str]) -> Any:
    """The command in this process, with one worker in it: others would import torch anew."""
    before, answer = sys.argv, io.StringIO()
    sys.argv = ["study-train", *arguments, "sweep.workers=1", "--json"]
    try:
        with contextlib.redirect_stdout(answer), contextlib.redirect_stderr(io.StringIO()):
            train.main()
    finally:
        sys.argv = before
    return json.loads(answer.getvalue())


def test_the_notebook_makes_its_figure(stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = stores / "first-figure"
    work.mkdir()
    for name in ("mlflow.db", "optuna.db"):
        (stores / name).rename(work / name)
    monkeypatch.chdir(stores)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("FIRST_FIGURE_UPDATES", "3")
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setattr(starting, "start", start_here)
    monkeypatch.setattr(study_page, "write", lambda *_, **__: Path("report.html"))
    names: dict[str, Any] = {}
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]).replace("[0, 1, 2]", "[0, 1]"), names)
    runs = names["runs"]
    assert runs.groupby("arm")["seed"].apply(list).to_dict() == {"elman": [0, 1], "lstm": [0, 1]}
    assert {"measure", "test", "outcome", "verdict", "run_id"} <= set(runs)
    assert names["norms"]["lstm"].shape == (2, 3)
    assert (names["shares"]["elman"][0] == 0).all()
    assert (work / "first-figure.pdf").read_bytes().startswith(b"%PDF")


def test_the_notebook_is_committed_without_outputs() -> None:
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def executable(folder: Path, script: str) -> str:
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


def test_a_command_started_from_python_says_what_it_says_and_gives_its_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = """echo "$@" >&2; printf '{"store": "%s"}' "$STORE" """
    monkeypatch.setattr(sys, "executable", executable(tmp_path, script))
    assert starting.start(["model=gru"], {"STORE": "here"}) == {"store": "here"}
    assert capsys.readouterr().out == "-m study.train model=gru --json\n"


def test_what_a_command_refuses_is_refused_in_python_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", executable(tmp_path, "echo 'model = x: no such option' >&2; exit 2"))
    with pytest.raises(ConfigError, match="model = x: no such option"):
        starting.start(["model=x"], {})
    monkeypatch.setattr(sys, "executable", executable(tmp_path, "echo killed >&2; exit 9"))
    with pytest.raises(RuntimeError, match="exit code 9: killed"):
        starting.start(["model=gru"], {})
