"""Stores of others: what they hold is looked at before it is opened, and chooses no folder and no address."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from omegaconf import OmegaConf

from study.bench.reliability.doctored import FLOW, long_texts, many_rows, parquet
from study.errors import ConfigError
from study.report.data.reading import noting, tried
from study.report.data.table_files import stem
from study.report.pages import study as study_page
from study.reproduce.compare import history
from study.reproduce.fork import beginning
from study.schema import Config
from study.terminal import clean
from study.tracking import plain, writer
from study.tracking.artifacts import Unreadable, content, listing, table
from study.tracking.description import describe
from study.tracking.place import Place
from study.tracking.reader import Logged, search

UI = "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: b"PAR1 no PAR1", "no Parquet file"),
        (lambda: many_rows(["update"], 52_000_000), "52,000,000 values"),
        (lambda: long_texts(["true"], 60_000, 10_000), "600,000,000 letters"),
        (lambda: parquet({"update": [[1]]}), "of lists"),
        (lambda: parquet({"other": [1]}), "no column 'update'"),
    ],
    ids=["damaged", "rows", "texts", "lists", "lacking"],
)
def test_a_table_is_refused_by_what_it_says_of_itself(data: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        table(data(), None if reason.startswith("600") else ["update"])


def test_texts_and_numbers_of_a_table_come_back_as_they_were_written() -> None:
    found = table(parquet({"a": ["x", None, "y"], "b": [1.0, 2.0, 3.0]}), ["b"], ["a", "c"])
    assert found.columns.tolist() == ["b", "a"]
    assert found["a"].dropna().tolist() == ["x", "y"]
    assert found["b"].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "device", "large"])
def test_only_a_regular_file_of_its_folder_and_of_a_possible_size_is_opened(kind: str, tmp_path: Path) -> None:
    (root := tmp_path / "artifacts").mkdir()
    file = root / "plan.yaml"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "large":
        with file.open("wb") as opened:
            opened.truncate(1 << 30)
    else:
        file.symlink_to("/dev/zero" if kind == "device" else "/etc/hostname")
    with pytest.raises((Unreadable, IsADirectoryError)):
        content(root, "plan.yaml")


def test_a_circle_of_folders_is_listed_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("")
    (tmp_path / "a" / "circle").symlink_to(tmp_path)
    assert list(listing(tmp_path)) == ["a/b"]


@pytest.mark.parametrize(
    "text", ["1e-3", "1_000", "nan", "yes", "null", "~", "1:30", "0x1f", "2020-01-01", "a: b", "# x", "é", "", "a\nb"]
)
def test_texts_that_look_like_other_values_are_texts_to_every_reader_of_what_is_written(text: str) -> None:
    twice = [text]
    written = plain.write({"a": twice, "b": twice})
    assert plain.read(written.encode(), "file") == {"a": [text], "b": [text]}
    assert OmegaConf.create(written) == {"a": [text], "b": [text]}


def test_a_bomb_of_aliases_is_refused_in_any_yaml() -> None:
    with pytest.raises(ConfigError, match=r"plan\.yaml: aliases"):
        plain.read(b"a: &a [1]\nb: [*a, *a]", "plan.yaml")


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..", "a/b", "x" * 5000, "a\0b", "<script>"])
def test_a_name_of_a_store_becomes_the_name_of_one_file(name: str, tmp_path: Path) -> None:
    (tmp_path / f"{stem(name)}.csv").write_text("")
    assert [path.parent for path in tmp_path.rglob("*.csv")] == [tmp_path]
    assert stem(name) != stem(f"{name}'")


@pytest.mark.parametrize("name", ["forecasting_stocks-gradient-norms", "tour", "v1.2", "run-elman no clip s0"])
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert stem(name) == name


def test_a_terminal_interprets_nothing_that_was_recorded() -> None:
    assert clean("\x1b[2Ja\tb\x07\nc\x9b") == "�[2Ja   b�\nc�"


@pytest.fixture
def foreign(configure: Callable[..., Config], stores: Path) -> list[Logged]:
    """A study of two runs in a store of their own: nobody has trained them, and one can be doctored."""
    uri = f"sqlite:///{stores}/mlflow.db"
    for seed in (0, 1):
        config = configure("slug=foreign", f"seed={seed}", f"tracking.uri={uri}")
        norms = np.geomspace(1.0, 0.1, 40).astype(np.float32)
        history = {"update": np.arange(1, 41), **dict.fromkeys(("loss", "grad_norm/total", "grad_norm/applied"), norms)}
        with writer.run(describe(config), Place("a run")) as run:
            run.log_points([(40, {"rmse/test": 0.5, "rmse/baseline": 0.6, "run/updates": 40.0})])
            run.log_table(pa.table(history), "gradients.parquet")
            run.tag({"outcome": "completed", "verdict": "healthy"})
    return search(uri, slug="foreign")


def dump(run: Logged) -> list[str]:
    connection = sqlite3.connect(run.uri.removeprefix("sqlite:///"))
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def change(run: Logged, command: str, *values: str) -> None:
    connection = sqlite3.connect(run.uri.removeprefix("sqlite:///"))
    connection.execute(command, values)
    connection.commit()
    connection.close()


def test_one_damaged_run_spoils_neither_the_page_nor_the_store(
    foreign: list[Logged], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = foreign
    bad.tag({"task": "../../../owned", "opponents": "{", "steps_read": "many", "verdict": "</script><img src=x>"})
    Path(bad.folder, "gradients.parquet").write_bytes(b"PAR1 no PAR1")
    Path(bad.folder, "flow.parquet").write_bytes(b"\0")
    Path(good.folder, "flow.parquet").write_bytes(parquet(FLOW))
    (out := tmp_path / "deep" / "er" / "report").mkdir(parents=True)
    text = study_page.write("foreign", bad.uri, UI, out).read_text()
    assert f'name="histories" content="{good.run_id}"' in text
    assert "<img" not in text
    assert f"gradients.parquet of run {bad.run_id}: it is no Parquet file" in text
    assert f"A table of run {good.run_id} is left out" in text
    assert "is left out" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*owned*") if out not in path.parents]


def test_a_history_that_lacks_a_column_is_refused_by_its_name(foreign: list[Logged]) -> None:
    with pytest.raises(ConfigError, match=f"gradients.parquet of run {foreign[0].run_id} has no column 'lr'"):
        history(foreign[0])


def test_a_report_writes_to_its_store_only_where_it_is_asked_to(foreign: list[Logged], tmp_path: Path) -> None:
    before = dump(foreign[0]), sorted(Path(foreign[0].folder).rglob("*"))
    with pytest.raises(ConfigError, match="no run of a sweep"):
        study_page.write("foreign", foreign[0].uri, UI, tmp_path / "out", kept=True)
    study_page.write("foreign", foreign[0].uri, UI, tmp_path / "out")
    assert (dump(foreign[0]), sorted(Path(foreign[0].folder).rglob("*"))) == before


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:9/a", "s3://bucket/a", "mlflow-artifacts://127.0.0.1:9/a", "file://host/a", "ftp://x/a"],
)
def test_no_address_is_asked_that_the_store_chose(foreign: list[Logged], address: str) -> None:
    change(foreign[0], "UPDATE runs SET artifact_uri = ?", address)
    for run in search(foreign[0].uri, slug="foreign"):
        with pytest.raises(Unreadable, match="an address that the store chose"):
            run.read("gradients.parquet")


def test_nothing_is_put_where_a_store_says_and_no_run_of_it_lies(foreign: list[Logged], tmp_path: Path) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    foreign[0].refuse_elsewhere("foreign")
    change(foreign[0], "UPDATE experiments SET artifact_location = ?", str(elsewhere / "x"))
    with pytest.raises(ConfigError, match="no run of it lies"):
        foreign[0].refuse_elsewhere()
    change(foreign[0], "UPDATE runs SET artifact_uri = ?", str(elsewhere))
    with pytest.raises(ConfigError, match="is not its folder"):
        search(foreign[0].uri, slug="foreign")[0].keep(tmp_path, "report")
    assert not list(elsewhere.iterdir())


def test_ids_that_lead_elsewhere_and_runs_that_fork_themselves_are_refused(foreign: list[Logged]) -> None:
    foreign[0].tag({"forked_from": foreign[0].run_id, "forked_at": "5"})
    with pytest.raises(ConfigError, match="goes on from itself"):
        beginning(search(foreign[0].uri, slug="foreign")[0], None)
    change(foreign[0], "UPDATE runs SET run_uuid = '../../x' WHERE run_uuid = ?", foreign[1].run_id)
    with pytest.raises(ConfigError, match=r"id '\.\./\.\./x'"):
        search(foreign[0].uri, slug="foreign")


def test_a_database_that_is_no_store_of_today_is_refused_and_stays_as_it_is(stores: Path) -> None:
    shutil.copy(stores / "mlflow.db", stores / "older.db")
    connection = sqlite3.connect(stores / "older.db")
    connection.execute("DROP TABLE trace_info")
    connection.commit()
    connection.close()
    (stores / "no.db").write_bytes(b"x" * 1000)
    for name, reason in (("optuna", "no store of MLflow"), ("older", "mlflow db upgrade"), ("no", "no database")):
        before = (stores / f"{name}.db").read_bytes()
        with pytest.raises(ConfigError, match=reason):
            search(f"sqlite:///{stores}/{name}.db")
        assert (stores / f"{name}.db").read_bytes() == before


def test_what_fails_while_no_page_is_made_fails() -> None:
    with pytest.raises(ValueError, match="x"):
        tried("A part", lambda: float("x"))
    with noting() as notes:
        assert tried("A part", lambda: float("x")) is None
    assert list(notes) == ["A part is left out: could not convert string to float: 'x'."]
