"""Places that cannot be written: one sentence, whoever reports it, and nothing half written."""

import errno
import io
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from study import resume as door
from study.disk import reason, refuse_unwritable, whole, writing
from study.errors import ConfigError, Unwritable
from study.schema import Config
from study.tracking.place import Place
from study.tracking.reader import search
from study.train import train
from study.training import checkpoint
from tests.reruns import SMALL

Configure = Callable[..., Config]


class Full(io.RawIOBase):
    """A file on a disk without space."""

    def writable(self) -> bool:
        return True

    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_database(address: str, wrapped: bool) -> None:
    """SQLite says that the disk is full, through SQLAlchemy and MLflow."""
    with closing(create_engine(address).connect()) as connection:
        connection.execute(text("pragma max_page_count = 2"))
        try:
            for name in "abc":
                connection.execute(text(f"create table {name} (x)"))
        except OperationalError as error:
            if not wrapped:
                raise
            raise MlflowException(message=error) from error


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_database_without_room_is_named_however_deep_its_error_lies(tmp_path: Path, wrapped: bool) -> None:
    address = f"sqlite:///{tmp_path}/a.db"
    with pytest.raises(Unwritable) as refused, writing(address):
        full_database(address, wrapped)
    assert str(refused.value) == (
        f"{tmp_path}/a.db: no space is left on this disk; make room there, then the same command works"
    )


def test_a_database_that_may_only_be_read_says_so(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "a.db").close()
    said = r"a\.db: it may only be read; make it writable, or choose another"
    opened = sqlite3.connect(f"file:{tmp_path}/a.db?mode=ro", uri=True)
    with closing(opened), pytest.raises(Unwritable, match=said), writing(tmp_path / "a.db"):
        opened.execute("create table a (x)")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO])
def test_the_numbers_of_the_system_become_words_with_the_file_that_it_names(number: int) -> None:
    with pytest.raises(Unwritable, match=r"^/there/it/is: .*; .*, then the same command works$"), writing():
        raise OSError(number, os.strerror(number), "/there/it/is")
    assert reason(RuntimeError("two\nlines")) == "two"


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "", "x"), ValueError("x"), ConfigError("x")])
def test_any_other_error_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, writing():
        raise error
    assert raised.value is error


def test_on_a_full_disk_the_old_checkpoint_stays_and_no_part_of_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.ckpt"
    checkpoint.save({"weights": torch.ones(3)}, file)
    before = file.read_bytes()
    monkeypatch.setattr(Path, "open", lambda *_, **__: io.BufferedWriter(Full()))
    with pytest.raises(Unwritable, match=r"x\.ckpt or .*: no space is left"):
        checkpoint.save({"weights": torch.ones(1 << 20)}, file)
    monkeypatch.undo()
    assert [(found, found.read_bytes()) for found in tmp_path.iterdir()] == [(file, before)]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    for content, interrupted in (("old", False), ("new", True)):
        try:
            with whole(file) as part:
                part.write_text(content)
                if interrupted:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    assert [found.read_text() for found in tmp_path.iterdir()] == ["old"]


def test_a_folder_that_cannot_be_is_refused_and_one_that_can_is_not_made(tmp_path: Path) -> None:
    refuse_unwritable(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(Unwritable, match=f"{tmp_path}/file: a file is where a folder is needed"):
        refuse_unwritable(tmp_path / "file" / "b")
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_a_run_whose_checkpoint_finds_no_room_is_no_result_and_is_resumed_as_it_says(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(*SMALL, "slug=full", "probe=none", "trainer.checkpoint=0")
    save, saved = checkpoint.save, list[int]()

    def fills_up(state: dict[str, Any], file: Path) -> None:
        if len(saved) == 2:
            with writing(file):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        saved.append(len(state["history"]["rows"]))
        save(state, file)

    monkeypatch.setattr(checkpoint, "save", fills_up)
    with pytest.raises(Unwritable) as refused:
        train(config, place=Place(checkpoints=checkpoint.FOLDER))
    monkeypatch.setattr(checkpoint, "save", save)
    (run,) = search(config.tracking.uri, slug="full")
    assert (run.status, run.tags["outcome"]) == ("KILLED", "killed")
    command = f"`study-resume {run.run_id}` continues the run from update {saved[-1]}, its last checkpoint"
    assert str(refused.value).endswith(f": no space is left on this disk; make room there, then {command}")
    assert "no space" in run.tags["error"]
    assert len(run.table("gradients.parquet")) > saved[-1]
    assert door.main([run.run_id, "--store", config.tracking.uri]) == 0
    assert f"Resuming from {checkpoint.path(checkpoint.FOLDER, run.run_id)}." in capsys.readouterr().out
    (run,) = search(config.tracking.uri, slug="full")
    assert (run.status, "error" in run.tags) == ("FINISHED", False)


def test_before_a_run_is_made_a_place_that_cannot_be_written_refuses_it(configure: Configure, tmp_path: Path) -> None:
    config = configure(*SMALL, "slug=not-made", "probe=none")
    (tmp_path / "outputs").touch()
    with pytest.raises(Unwritable, match="a file is where a folder is needed; move that away, then the same command"):
        train(config, place=Place(checkpoints=checkpoint.FOLDER))
    assert not search(config.tracking.uri, slug="not-made")
