"""A store in trouble: training goes on, what it writes waits, and arrives whole and in order."""

import json
import resource
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)

from study import deliver as delivering
from study.errors import ConfigError, Trouble
from study.reproduce.compare import compare
from study.schema import Config
from study.tracking import outbox, spool, store, sweeps, trouble, writer
from study.tracking.description import describe
from study.tracking.outbox import Outbox, deliver
from study.tracking.place import Place
from study.tracking.reader import find_one
from study.tracking.writes import Write
from study.train import train

Configure = Callable[..., Config]
RUN = "0" * 32
SHORT = ("trainer.max_updates=12", "model.hidden_size=4", "task.batch_size=512", "probe=none", "slug=trouble")


class Store:
    """Takes tags and notes their names; `failing` times it raises an error first."""

    def __init__(self, failing: int = 0, error: int = TEMPORARILY_UNAVAILABLE):
        self.failing, self.error, self.written = failing, error, list[str]()

    def __call__(self, write: Write) -> None:
        if self.failing:
            self.failing -= 1
            raise MlflowException("database is locked", self.error)
        self.written += write.content


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Attempts follow each other at once, and what waits lies in a folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trouble, "PAUSES", (0.01,))
    monkeypatch.setattr(outbox, "SUSPECTED", 0.0)


def written_through(make: Callable[[Write], None], count: int, patience: float = 5.0) -> None:
    box = Outbox(make, RUN, "sqlite:///a.db")
    for number in range(count):
        box.put(Write("tags", {str(number): "value"}))
    box.close(patience)


@pytest.mark.parametrize("failing", [0, 1, 7])
def test_everything_arrives_in_order_whether_or_not_the_store_fails_for_a_while(
    failing: int, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Store(failing)
    written_through(client, 50)
    assert client.written == [str(number) for number in range(50)]
    assert not spool.place(RUN).exists()
    said = capsys.readouterr().err
    assert ("takes no values (database is locked)" in said) == ("takes values again" in said) == (failing > 0)


def test_a_slow_store_leaves_no_more_than_a_bound_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MEMORY", 1000)
    client, go_on = Store(), threading.Event()

    def slowly(write: Write) -> None:
        go_on.wait()
        client(write)

    box = Outbox(slowly, RUN, "sqlite:///a.db")
    for number in range(50):
        box.put(Write("tags", {str(number): "value"}))
        assert sum(write.size for write in box._waiting) <= 1000
    assert spool.place(RUN).is_file()
    go_on.set()
    box.close(5.0)
    assert client.written == [str(number) for number in range(50)]


@pytest.mark.parametrize("error", [TEMPORARILY_UNAVAILABLE, INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST])
def test_what_is_not_taken_lies_in_a_file_that_is_named_and_what_is_refused_is_not_waited_for(error: int) -> None:
    start, passes = time.monotonic(), error == TEMPORARILY_UNAVAILABLE
    with pytest.raises(Trouble, match=r"database is locked.* its history.* lies in .*jsonl.*, then `study-deliver`"):
        written_through(Store(10**9, error), 3, patience=0.2 if passes else 60.0)
    assert time.monotonic() - start < 30
    assert [json.loads(line) for line in spool.place(RUN).read_bytes().splitlines()][1:] == [
        ["tags", {str(number): "value"}] for number in range(3)
    ]


def test_ctrl_c_while_waiting_leaves_everything_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    box = Outbox(Store(10**9), RUN, "sqlite:///a.db")
    box.put(Write("tags", {"a": "b"}))
    monkeypatch.setattr(box, "_is_worth_waiting", interrupt)
    with pytest.raises(KeyboardInterrupt):
        box.close(60.0)
    assert len(spool.place(RUN).read_bytes().splitlines()) == 2


def test_where_the_file_cannot_be_written_either_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file where the folder would be")
    with pytest.raises(Trouble, match=r"nor can that be kept in .*jsonl.*, then `study-resume"):
        written_through(Store(10**9), 3, patience=0.2)


def test_a_run_whose_store_is_gone_is_delivered_from_its_file_and_equals_one_that_was_not_disturbed(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, ids = configure(*SHORT), list[str]()
    whole = find_one(config.tracking.uri, train(config).run_id)
    with monkeypatch.context() as patch:

        def leave(run_id: str) -> None:
            ids.append(run_id)
            patch.setattr(Write, "make", lambda write, *_: Store(1)(write))

        patch.setattr(writer, "PATIENCE", 0.2)
        with pytest.raises(Trouble, match="database is locked"):
            train(config, place=Place(announce=leave))
    assert find_one(config.tracking.uri, ids[0]).status == "RUNNING"
    assert delivering.main([]) == 0
    assert "writes delivered" in capsys.readouterr().out
    run = find_one(config.tracking.uri, ids[0])
    assert compare(whole, run).identical
    assert (run.status, set(run.files()), set(run.tags)) == ("FINISHED", set(whole.files()), set(whole.tags))
    assert delivering.main([]) == 0
    assert "Nothing waits" in capsys.readouterr().out


def test_a_run_that_is_resumed_delivers_first_what_it_had_left(configure: Configure) -> None:
    config = configure("slug=trouble")
    with pytest.raises(KeyboardInterrupt), writer.run(describe(config), Place("a run")) as run:
        raise KeyboardInterrupt
    left = spool.Spool(spool.place(run.run_id), run.run_id, config.tracking.uri)
    left.append([Write("tags", {"left": "behind"}), Write("points", [["loss", 1.0, 1, 7]])])
    left.let_go()
    with writer.run(describe(config), Place(resume=run.run_id)) as resumed:
        resumed.log_points([(7, {"loss": 2.0}), (8, {"loss": 3.0})])
    found = find_one(config.tracking.uri, run.run_id)
    assert found.tags["left"] == "behind"
    assert sorted((update, value) for _, update, value in found.points()) == [(7, 1.0), (8, 3.0)]
    assert not spool.place(run.run_id).exists()


def test_the_first_error_of_a_run_is_raised_also_where_the_store_does_not_take_its_end(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(writer, "PATIENCE", 0.2)
    config = configure("slug=trouble")

    def fail() -> None:
        with writer.run(describe(config), Place("a run")):
            monkeypatch.setattr(Write, "make", lambda write, *_: Store(1)(write))
            raise RuntimeError("the first")

    with pytest.raises(RuntimeError, match="the first"):
        fail()
    assert "`study-deliver` brings it there" in capsys.readouterr().err


def test_a_run_that_has_finished_since_takes_nothing_old(configure: Configure) -> None:
    config = configure("slug=trouble")
    with writer.run(describe(config), Place("a run")) as run:
        run.tag({"colour": "new"})
    left = spool.Spool(spool.place(run.run_id), run.run_id, config.tracking.uri)
    left.append([Write("tags", {"colour": "old"})])
    left.let_go()
    assert deliver(left.file) == 0
    assert find_one(config.tracking.uri, run.run_id).tags["colour"] == "new"
    assert not left.file.exists()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["not json"], "holds nothing that a run left"),
        (['{"run_id": "../x", "uri": "sqlite:///a.db"}'], "holds nothing that a run left"),
        (["HEAD", '["files", {"folder": null, "files": {"../evil": {"base64": ""}}}]'], "outside the run's folder"),
        (["HEAD", '["exec", "rm"]'], "is none of points"),
        (["HEAD", '["files", {"folder": "../..", "files": {"evil": {"base64": ""}}}]'], "outside the run's folder"),
    ],
)
def test_a_damaged_or_foreign_file_is_refused_and_stays(
    configure: Configure, tmp_path: Path, capsys: pytest.CaptureFixture[str], lines: list[str], said: str
) -> None:
    config = configure("slug=trouble")
    with pytest.raises(KeyboardInterrupt), writer.run(describe(config), Place("a run")) as run:
        raise KeyboardInterrupt
    head = json.dumps({"run_id": run.run_id, "uri": config.tracking.uri})
    (file := tmp_path / "left.jsonl").write_text("".join(f"{line}\n" for line in lines).replace("HEAD", head))
    assert delivering.main([str(file)]) == 2
    assert said in capsys.readouterr().err
    assert file.exists()
    assert not [*tmp_path.parent.glob("**/evil")]


def test_a_file_that_a_run_is_still_filling_is_left_alone(configure: Configure) -> None:
    box = Outbox(Store(10**9), RUN, "sqlite:///a.db")
    box.put(Write("tags", {"a": "b"}))
    while not spool.place(RUN).exists():
        time.sleep(0.01)
    with pytest.raises(ConfigError, match="a process is at work with it"):
        deliver(spool.place(RUN))
    with pytest.raises(Trouble):
        box.close(0.0)


def test_what_a_full_disk_did_not_take_whole_leaves_no_half_of_it_in_the_file() -> None:
    left = spool.Spool(spool.place(RUN), RUN, "sqlite:///a.db")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = Write("tags", {"large": "x" * 100_000})
    for kept in ([], [Write("tags", {"a": "b"})]):
        left.append(kept) if kept else None
        before = left.file.read_bytes() if kept else None
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        try:
            with pytest.raises(OSError, match="too large"):
                left.append([large])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (left.file.read_bytes() if left.file.exists() else None) == before
    left.append([large])
    assert left.first() == Write("tags", {"a": "b"})
    left.remove_first()
    assert left.first() == large
    left.file.unlink()  # by somebody who tidies up
    assert left.first() is None
    left.append([large])
    assert left.first() == large


def test_the_half_of_a_line_that_a_killed_process_left_is_no_write() -> None:
    left = spool.Spool(spool.place(RUN), RUN, "sqlite:///a.db")
    left.append([Write("tags", {"a": "b"})])
    with left.file.open("ab") as file:
        file.write(b'["tags", {"c"')
    assert left.first() == Write("tags", {"a": "b"})
    left.remove_first()
    assert left.first() is None
    assert not left.file.exists()


def test_writes_survive_their_line_with_all_numbers_and_bytes() -> None:
    points = Write("points", [["loss", float("inf"), 1, 2], ["loss", float("nan"), 1, 3], ["loss", 0.1 + 0.2, 1, 4]])
    files = Write("files", {"folder": None, "files": {"a.bin": bytes(range(256))}})
    assert str(Write.read(points.line())) == str(points)
    assert Write.read(files.line()) == files


def test_a_server_that_does_not_answer_is_refused_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "BRIEF", 1.0)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port, start = silent.getsockname()[1], time.monotonic()
        with pytest.raises(Trouble, match=f"tracking.uri = 'http://127.0.0.1:{port}': the store does not answer"):
            store.prepare(f"http://127.0.0.1:{port}", "anything")
    with pytest.raises(Trouble, match="Connection refused"):
        store.prepare(f"http://127.0.0.1:{port}", "anything")
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(("error", "made"), [(TEMPORARILY_UNAVAILABLE, 3), (INTERNAL_ERROR, 1)])
def test_a_run_is_not_made_twice_where_a_store_may_have_made_it(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, error: int, made: int
) -> None:
    config, client, create, tried = configure("slug=trouble"), Store(2, error), MlflowClient.create_run, list[int]()

    def fail_first(*arguments: Any, **named: Any) -> Any:
        tried.append(1)
        client(Write("tags", {}))
        return create(*arguments, **named)

    monkeypatch.setattr(MlflowClient, "create_run", fail_first)
    with suppress(Trouble), writer.run(describe(config), Place("a run", patience=60.0)):
        pass
    assert len(tried) == made


def test_a_store_in_trouble_is_not_taken_for_one_that_lost_a_run(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = configure("slug=trouble").tracking.uri
    store.prepare(uri, "trouble")
    assert not sweeps.is_there(uri, RUN)
    monkeypatch.setattr(MlflowClient, "get_run", lambda *_: Store(1)(Write("tags", {})))
    with pytest.raises(MlflowException, match="locked"):
        sweeps.is_there(uri, RUN)
