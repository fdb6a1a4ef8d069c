"""Databases: made whole or not at all, whichever process dies while it makes one; their locks."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from study.errors import ConfigError
from study.tracking import store
from study.tracking.database import locked, make_whole, refuse_damaged, refuse_other
from study.tracking.reader import search


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def execute(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def cheap(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are copied, where making them would take seconds."""
    make = store.make_tables
    monkeypatch.setattr(store, "make_tables", lambda uri: (shutil.copy(tables / "mlflow.db", uri[10:]), make(uri)))


def test_a_making_that_is_interrupted_leaves_no_database_and_the_next_one_succeeds(tmp_path: Path) -> None:
    def interrupted(address: str) -> None:
        execute(Path(address.removeprefix("sqlite:///")), "create table runs (a)")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_whole(url(tmp_path), interrupted)
    assert not list(tmp_path.iterdir())
    make_whole(url(tmp_path), lambda address: execute(Path(address[10:]), "create table runs (a)"))
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("left", ["", "create table experiments (name)"])
def test_what_a_killed_making_left_is_replaced(left: str, tmp_path: Path) -> None:
    (tmp_path / ".mlflow.db.1234.new").write_bytes(b"a part")
    (tmp_path / "mlflow.db-journal").write_bytes(b"")
    execute(tmp_path / "mlflow.db", *filter(None, ["create table alembic_version (version_num)", left]))
    execute(tmp_path / "mlflow.db", "insert into alembic_version values ('181f10493468')")
    assert store.prepare(url(tmp_path), "slug") == store.prepare(url(tmp_path), "slug")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.usefixtures("cheap")
def test_an_address_may_have_a_query_and_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "mlflow.db").symlink_to(tmp_path / "disk" / "runs.db")
    assert store.prepare(f"{url(tmp_path)}?timeout=60", "slug") == store.prepare(url(tmp_path), "slug")
    assert (tmp_path / "mlflow.db").is_symlink()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["runs.db"]


@pytest.mark.usefixtures("cheap")
def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    assert store.prepare(url(tmp_path), "slug")


def test_a_file_with_anything_in_it_is_never_replaced(tables: Path, tmp_path: Path) -> None:
    execute(tmp_path / "mlflow.db", "create table mine (a)", "insert into mine values (1)")
    (tmp_path / "text.db").write_text("no database")
    shutil.copy(tables / "mlflow.db", tmp_path / "used.db")
    for name in ("mlflow.db", "text.db", "used.db"):
        before = (tmp_path / name).read_bytes()
        make_whole(f"sqlite:///{tmp_path / name}", pytest.fail)
        assert (tmp_path / name).read_bytes() == before


def test_a_lock_leaves_no_file_and_names_do_not_exclude_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "locks"))
    (tmp_path / "locks").mkdir()
    with locked(url(tmp_path)), locked(url(tmp_path), "parent"), locked(f"sqlite:///{tmp_path}/other.db"):
        assert len(list((tmp_path / "locks").iterdir())) == 3
    assert not list((tmp_path / "locks").iterdir())


@pytest.mark.parametrize("made", ["", "create table experiments (name)"])
def test_a_store_whose_making_was_interrupted_says_what_makes_it_whole(made: str, tmp_path: Path) -> None:
    execute(tmp_path / "mlflow.db", *filter(None, ["create table alembic_version (version_num)", made]))
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(ConfigError, match=r"its making was interrupted; whatever trains makes it whole, `.*train`"):
        refuse_other(url(tmp_path))
    assert (tmp_path / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        ("bda7b8c39065", r"an earlier MLflow made this store; copy it, then `.*mlflow db upgrade"),
        ("ff00", "a later"),
    ],
)
def test_a_store_of_another_version_of_mlflow_is_refused_with_what_mends_it(
    revision: str, said: str, tables: Path, tmp_path: Path
) -> None:
    shutil.copy(tables / "mlflow.db", tmp_path)
    execute(tmp_path / "mlflow.db", f"update alembic_version set version_num = '{revision}'")
    for used in (search, partial(store.prepare, slug="slug")):
        with pytest.raises(ConfigError, match=said):
            used(url(tmp_path))


def test_a_file_that_is_no_database_is_refused_by_what_reads_and_by_what_trains(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database" * 99)
    for used in (search, partial(store.prepare, slug="slug")):
        with pytest.raises(ConfigError, match="file is not a database; move it away"):
            used(url(tmp_path))


def test_what_a_killed_process_left_half_written_is_left_to_whoever_opens_it_next(tmp_path: Path) -> None:
    killed = tmp_path / "killed.db"
    with closing(sqlite3.connect(tmp_path / "whole.db", isolation_level=None)) as connection:
        connection.execute("pragma cache_size = 1")  # so that the file changes before the end
        connection.execute("create table trials (a)")
        connection.execute("insert into trials values (1)")
        connection.execute("begin")
        connection.executemany("insert into trials values (?)", [("x" * 1000,)] * 100)
        for ending in ("", "-journal"):
            shutil.copy(tmp_path / f"whole.db{ending}", f"{killed}{ending}")
    refuse_damaged(f"sqlite:///{killed}", "sweep.storage")
    with pytest.raises(ConfigError, match="a process was killed while it wrote, and reading rolls nothing back"):
        refuse_other(f"sqlite:///{killed}")
    with closing(sqlite3.connect(killed)) as connection:
        assert connection.execute("select count(*) from trials").fetchone() == (1,)
    refuse_damaged(f"sqlite:///{killed}", "sweep.storage")
