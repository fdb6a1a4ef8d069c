"""A small store with two trained runs, and copies of it that somebody has doctored."""

import os
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from study.bench.composed import composed

SLUG = "foreign"
SMALL = ("model.hidden_size=4", "trainer.max_updates=20", "trainer.validate_every=10", "task.batch_size=512")


@dataclass(frozen=True)
class Store:
    """A store in a folder; its first run is the one that is doctored, the second stays as it was.

    Attributes:
        folder: with `mlflow.db` and the artifacts.
        first: id of the first run.
        second: id of the other.
    """

    folder: Path
    first: str
    second: str

    @property
    def uri(self) -> str:
        """Its address."""
        return f"sqlite:///{self.folder}/mlflow.db"

    def artifact(self, name: str) -> Path:
        """A file of the first run."""
        return next(self.folder.glob(f"mlruns/*/{self.first}/artifacts")) / name

    def sql(self, command: str, *values: object) -> None:
        """Change the database; `:run` is the first run."""
        connection = sqlite3.connect(self.folder / "mlflow.db")
        connection.execute("PRAGMA ignore_check_constraints = 1")  # whoever doctors a store can do that too
        connection.execute(command.replace(":run", f"'{self.first}'"), values)
        connection.commit()
        connection.close()

    def tag(self, key: str, value: object) -> None:
        """Set a tag of the first run, whatever MLflow would say."""
        self.sql("DELETE FROM tags WHERE key = ? AND run_uuid = :run", key)
        self.sql("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, :run)", key, value)

    def dump(self) -> list[str]:
        """Everything in the database, and every file beside it with its size and time."""
        connection = sqlite3.connect(f"file:{self.folder}/mlflow.db?mode=ro", uri=True)
        lines = list(connection.iterdump())
        connection.close()
        names = sorted(path for path in self.folder.glob("mlruns/**/*") if not path.is_dir())
        return lines + [f"{path} {path.lstat().st_size} {path.lstat().st_mtime_ns}" for path in names]

    def copy(self, folder: Path) -> "Store":
        """The same elsewhere, artifacts included."""
        shutil.copytree(self.folder, folder)
        other = Store(folder, self.first, self.second)
        for table, column in (("runs", "artifact_uri"), ("experiments", "artifact_location")):
            other.sql(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", str(self.folder), str(folder))
        return other


def build(folder: Path) -> Store:
    """Train two small runs in a store of their own."""
    from study.train import train

    folder.mkdir()
    os.chdir(folder)
    uri, ids = f"sqlite:///{folder}/mlflow.db", []
    for seed in (0, 1):
        typed = [
            *SMALL,
            f"seed={seed}",
            f"slug={SLUG}",
            "probe=end",
            f"tracking.uri={uri}",
            "trainer.progress_bar=false",
        ]
        config = composed(*typed)
        ids.append(train(config, typed[:-2]).run_id)
    return Store(folder, *ids)


Doctor = Callable[[Store], object]


def parquet(columns: Mapping[str, object]) -> bytes:
    """A table as a Parquet file, without what Arrow adds of its own types."""
    found = BytesIO()
    pq.write_table(pa.table(dict(columns)), found, store_schema=False)
    return found.getvalue()


def _history(**other: object) -> bytes:
    norms = np.ones(20, np.float32)
    columns = {
        "update": np.arange(1, 21),
        **dict.fromkeys(("loss", "lr", "grad_norm/total", "grad_norm/applied"), norms),
    }
    return parquet(columns | other)


def many_rows(names: Sequence[str], rows: int) -> bytes:
    """A short file of many millions of zeros, two million a part."""
    found, part = BytesIO(), pa.table({name: np.zeros(2_000_000, np.int8) for name in names})
    with pq.ParquetWriter(found, part.schema) as file:
        for _ in range(rows // len(part)):
            file.write_table(part)
    return found.getvalue()


def long_texts(names: Sequence[str], rows: int, letters: int) -> bytes:
    """A short file of one long text, again and again; it is read as texts."""
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * letters]))
    return parquet(dict.fromkeys(names, words))


def _zip_bomb() -> bytes:
    found = BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", bytes(50_000_000))
    return found.getvalue()


def put(name: str, content: Callable[[], bytes]) -> Doctor:
    """Replaces an artifact."""
    return lambda store: store.artifact(name).write_bytes(content())


def sparse(name: str, size: int) -> Doctor:
    """Makes an artifact that long, with nothing in it."""

    def doctor(store: Store) -> None:
        with store.artifact(name).open("wb") as file:
            file.truncate(size)

    return doctor


def instead(name: str, make: Callable[[Path], object]) -> Doctor:
    """Puts something else than a file in the place of an artifact."""

    def doctor(store: Store) -> None:
        store.artifact(name).unlink()
        make(store.artifact(name))

    return doctor


def tag(key: str, value: object) -> Doctor:
    """Sets a tag."""
    return lambda store: store.tag(key, value)


def fork(of: Callable[[Store], str], at: object) -> Doctor:
    """Makes the first run say that it is a fork."""

    def doctor(store: Store) -> None:
        store.tag("forked_from", of(store))
        store.tag("forked_at", at)

    return doctor


def many_files(store: Store) -> None:
    """Puts 30,000 files beside the artifacts."""
    for number in range(30_000):
        store.artifact(f"{number}.txt").touch()


def sql(command: str, *values: object) -> Doctor:
    """Changes the database."""
    return lambda store: store.sql(command, *values)


BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (n + 1, n + 1, b", ".join([b"*%c" % n] * 9)) for n in range(97, 106)
)
NORMS = ("update", "loss", "grad_norm/total", "grad_norm/applied")
FLOW = {"update": [1], "of": ["memory"], "lag": ["x"], "log_phi": ["y"]}
"""Numbers that are texts."""
HISTORY, CONFIG, PLAN = "gradients.parquet", "definition/config.yaml", "plan.yaml"

ARTIFACTS: Mapping[str, Doctor] = {
    "a history of 100 million rows": put(HISTORY, partial(many_rows, NORMS, 100_000_000)),
    "a history that is no Parquet": put(HISTORY, lambda: b"PAR1 no PAR1"),
    "a history that is cut": lambda store: os.truncate(store.artifact(HISTORY), 2000),
    "a history of texts": put(HISTORY, lambda: _history(loss=["x"] * 20)),
    "a history of lists": put(HISTORY, lambda: _history(loss=[[1.0]] * 20)),
    "updates that are no numbers": put(HISTORY, lambda: _history(update=["one"] * 20)),
    "a history without a column": put(HISTORY, lambda: parquet({"update": [1, 2]})),
    "a history of 1e308 and NaN": put(HISTORY, lambda: _history(loss=[1e308, -1e308, np.nan, np.inf] * 5)),
    "a history with negative updates": put(HISTORY, lambda: _history(update=-np.arange(20))),
    "a history at update 10^18": put(HISTORY, lambda: _history(update=10**18 + np.arange(20))),
    "a pipe for a history": instead(HISTORY, os.mkfifo),
    "a folder for a history": instead(HISTORY, lambda path: path.mkdir()),
    "a link out of the folder": instead(HISTORY, lambda path: path.symlink_to("/etc/passwd")),
    "an endless device": instead(HISTORY, lambda path: path.symlink_to("/dev/zero")),
    "a history of 20 GB": sparse(HISTORY, 20 << 30),
    "a zip bomb for a history": put(HISTORY, _zip_bomb),
    "a flow of texts": put("flow.parquet", lambda: parquet(FLOW)),
    "a flow that is no Parquet": put("flow.parquet", lambda: b"\0" * 100),
    "predictions of long texts": put(
        "predictions.parquet", partial(long_texts, ["true", "predicted"], 5_000_000, 100_000)
    ),
    "a pipe for a configuration": instead(CONFIG, os.mkfifo),
    "a configuration of 1 GB": sparse(CONFIG, 1 << 30),
    "a configuration of aliases": put(CONFIG, lambda: BOMB),
    "a configuration that calls": put(CONFIG, lambda: b"model: {_target_: os.system, x: touch /tmp/owned}"),
    "an environment that is damaged": put("definition/environment.yaml", lambda: b"{[\0"),
    "weights with a lying header": put("weights/last.safetensors", lambda: b"\xff" * 7 + b"\0" + b"{}" * 40),
    "a circle of folders": lambda store: store.artifact("circle").symlink_to(store.artifact("")),
    "30,000 files": many_files,
}
PLACES: Mapping[str, Doctor] = {
    "a task with a path": tag("task", "../../../../owned"),
    "a task with an absolute path": tag("task", "/tmp/owned/x"),
    "a task of 5,000 letters": tag("task", "x" * 5000),
    "artifacts at an absolute path": sql("UPDATE runs SET artifact_uri = '/etc' WHERE run_uuid = :run"),
    "artifacts at http": sql("UPDATE runs SET artifact_uri = 'http://127.0.0.1:9/a' WHERE run_uuid = :run"),
    "artifacts at s3": sql("UPDATE runs SET artifact_uri = 's3://owned/a' WHERE run_uuid = :run"),
    "artifacts at another server": sql(
        "UPDATE runs SET artifact_uri = 'mlflow-artifacts://127.0.0.1:9/a' WHERE run_uuid = :run"
    ),
    "artifacts at ftp": sql("UPDATE runs SET artifact_uri = 'ftp://127.0.0.1/a' WHERE run_uuid = :run"),
    "an experiment that keeps files elsewhere": lambda store: store.sql(
        "UPDATE experiments SET artifact_location = ?", str(store.folder.parent / "owned")
    ),
    "an experiment at http": sql("UPDATE experiments SET artifact_location = 'http://127.0.0.1:9/a'"),
    "a run id with a path": sql("UPDATE runs SET run_uuid = '../../../owned' WHERE run_uuid = :run"),
    "a run id with a quote": sql("UPDATE runs SET run_uuid = 'a'' OR 1=1' WHERE run_uuid = :run"),
    "a configuration with another slug": lambda store: store.artifact(CONFIG).write_text(
        store.artifact(CONFIG).read_text().replace(f"slug: {SLUG}", "slug: ../../owned")
    ),
    "a fork of itself": fork(lambda store: store.first, 5),
    "a fork at no update": fork(lambda store: store.second, "x"),
    "an older schema": sql("DROP TABLE trace_info"),
}
MARKUP = "</script><img src=http://127.0.0.1:9/x onerror=alert(1)>"
WORDS: Mapping[str, Doctor] = {
    f"{word!r} as {key}": doctor
    for word in (MARKUP, "=HYPERLINK(1)", "[/x] y", "\x1b]0;owned\x07\x1b[2J", r"\input{/etc/passwd}", r"$\frac{$ $x$")
    for key, doctor in {
        **{key: tag(key, word) for key in ("task", "arm_name", "cause", "primary", "mlflow.note.content", "opponents")},
        "name": sql("UPDATE runs SET name = ? WHERE run_uuid = :run", word),
        "a parameter": sql("UPDATE params SET value = ? WHERE key = 'clip.name' AND run_uuid = :run", word),
        "a metric": sql("UPDATE latest_metrics SET key = ? WHERE key = 'loss/val' AND run_uuid = :run", word),
    }.items()
}
NUMBERS: Mapping[str, Doctor] = {
    "a seed that is a text": sql("UPDATE params SET value = 'x' WHERE key = 'seed' AND run_uuid = :run"),
    "a seed of 1e400": sql("UPDATE params SET value = '1e400' WHERE key = 'seed' AND run_uuid = :run"),
    **{
        f"{key} = {value}": tag(key, value) for key in ("steps_read", "parameters") for value in ("many", "-1", "1e308")
    },
    **{f"opponents {text}": tag("opponents", text) for text in ("{", "[1]", '{"a": "b"}', '{"a": 1e999}', '{"a": {}}')},
    "measures of NaN": sql("UPDATE latest_metrics SET value = 0, is_nan = 1 WHERE run_uuid = :run"),
    "measures of 1e308": sql("UPDATE latest_metrics SET value = 1e308 WHERE run_uuid = :run"),
    "negative steps": sql("UPDATE metrics SET step = -step WHERE run_uuid = :run"),
    "steps of 10^18": sql("UPDATE metrics SET step = step + 1000000000000000000 WHERE run_uuid = :run"),
    "no tags": sql("DELETE FROM tags WHERE run_uuid = :run"),
    "no parameters": sql("DELETE FROM params WHERE run_uuid = :run"),
    "no metrics": sql("DELETE FROM latest_metrics WHERE run_uuid = :run"),
    "no name": sql("UPDATE runs SET name = NULL WHERE run_uuid = :run"),
    "a status of no kind": sql("UPDATE runs SET lifecycle_stage = 'active', source_type = 'x' WHERE run_uuid = :run"),
}
