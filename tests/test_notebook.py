"""docs/first-figure.ipynb does what it says: its cells, run in order in a fresh folder, make the figure."""

import json
from pathlib import Path
from typing import Any

import pytest

from study.installation import CONF

NOTEBOOK = CONF.parent / "docs" / "first-figure.ipynb"


def test_the_notebook_makes_its_figure(stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = stores / "first-figure"
    work.mkdir()
    (stores / "mlflow.db").rename(work / "mlflow.db")
    (stores / "optuna.db").rename(work / "optuna.db")
    monkeypatch.chdir(stores)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("FIRST_FIGURE_UPDATES", "3")
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells, names = json.loads(NOTEBOOK.read_text())["cells"], dict[str, Any]()
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    runs = names["runs"]
    assert runs.groupby("arm")["seed"].apply(list).to_dict() == {"elman": [0, 1, 2], "lstm": [0, 1, 2]}
    assert names["norms"]["lstm"].shape == (3, 3)
    assert (names["shares"]["elman"][0] == 0).all()
    assert (work / "first-figure.pdf").read_bytes().startswith(b"%PDF")


def test_the_notebook_is_committed_without_outputs() -> None:
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
