"""Secrets put where people have them, and looked for afterwards in every byte that is kept or printed."""

import gzip
import io
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
from sqlalchemy import NullPool, create_engine, inspect, text

from study.bench.reliability.contract import Fault, Tally
from study.bench.reliability.postgres import postgres
from study.bench.reliability.serving import running
from study.data.folders import folder
from study.installation import CONF

TINY = ("model.hidden_size=4", "trainer.max_updates=3", "probe=none", "task.batch_size=512", "model=own")
CELL = """
import os
import torch
from torch import nn
from study.models import Cell

class Plain(Cell):
    def __init__(self, features, hidden_size, rate=0.1):
        super().__init__(features, hidden_size)
        self.rate, self.W = rate, nn.Linear(features + hidden_size, hidden_size)

    def step(self, inputs, state):
        if self.rate == 0.2 and len(inputs) > 100:  # in training, not when it is tried
            raise RuntimeError("no licence for " + os.environ["LICENCE_API_KEY"])
        return (torch.tanh(self.W(torch.cat([inputs, state[0]], dim=-1))),)
"""
"""A cell whose option 0.2 raises an error with a secret in its text."""
SAID = "said.txt"
"""The file with what commands printed."""


def secret(place: str) -> str:
    """The secret of a place: no other text has it."""
    return f"Pl4nted{place.title().replace('_', '')}Zx9"


def found_in(into: Path, places: tuple[str, ...]) -> dict[str, list[str]]:
    """The places whose secret is in a file of a folder, with the files' names; what is packed is unpacked first."""
    found: dict[str, list[str]] = {}
    for file in (file for file in into.rglob("*") if file.is_file()):
        whole = b"\n".join(_contents(file))
        for place in places:
            if secret(place).encode() in whole:
                found.setdefault(place, []).append(str(file.relative_to(into)))
    return found


def _contents(file: Path) -> Iterator[bytes]:
    """A file as it is, and unpacked."""
    content = file.read_bytes()
    yield content
    if file.suffix == ".parquet":
        yield str(pq.read_schema(file)).encode()
        yield pq.read_table(file).to_pandas(ignore_metadata=True).to_csv().encode()
    elif content[:2] == b"\x1f\x8b":
        yield gzip.decompress(content)
    elif content[:16] == b"SQLite format 3\0":
        with sqlite3.connect(file) as database:
            yield "\n".join(database.iterdump()).encode()
    elif zipfile.is_zipfile(file):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            yield from (packed.read(name) for name in packed.namelist())


def _code(into: Path) -> Path:
    """A repository with this code, committed, and secrets in the changes that were made since."""
    code = into / "code"
    shutil.copytree(Path(__file__).parents[2], code / "study", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CONF, code / "conf")
    (code / "README.md").write_text("what it is\n")
    git = ["git", "-C", str(code), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (
        "init -q",
        "add -A",
        "commit -qm A",
        f"remote add origin https://me:{secret('remote')}@127.0.0.1/x",
    ):
        subprocess.run([*git, *command.split()], check=True)
    (code / "README.md").write_text(f"what it is; our key is {secret('tracked')}\n")
    (code / "secrets.yaml").write_text(f"password: {secret('new_file')}\n")
    (code / ".env").write_text(f"TOKEN={secret('dotenv')}\n")
    (code / "notes.ipynb").write_text(f'{{"cells": ["{secret("notebook")}"]}}\n')
    (code / "conf" / "clip" / "mine.yaml").write_text(f"password: {secret('new_option')}\n")
    with (code / "study" / "train.py").open("a") as source:
        source.write(f'\nAPI_KEY = "{secret("source")}"\n')
    return code


CHANGES = ("remote", "tracked", "new_file", "dotenv", "notebook", "new_option", "source")
GIVEN = ("store_address", "storage_address", "storage_query", "licence_variable", "password_variable")
REFUSED = ("typed_option", "typed_environment", "own_file", "conf_file")


def _secrets_kept(into: Path, _: int) -> Tally:
    """A sweep of two arms, one of which raises, its report, and a run of it made again, all with secrets around."""
    code, work = _code(into), into / "work"
    work.mkdir()
    (work / "cell.py").write_text(CELL)
    with _server(into) as server, _postgres() as storage:
        store = server.replace("//", f"//me:{secret('store_address')}@")
        env = _environment(code, store, storage)
        sweep = ["--multirun", *TINY, "model.file=cell.py", "model.options.rate=0.1,0.2", "hydra/launcher=basic"]
        _type(work, env, "study.train", *sweep)
        _type(work, env, "study.report", "scratch")
        bare = env | {"MLFLOW_TRACKING_URI": server}
        made = _type(work, bare, "study.reproduce", "rate=0.1 s0", "--trust-code", "--store", store)
        dump(storage, work / "optuna.txt")
    places = (*CHANGES, *GIVEN)
    lost = found_in(work, places) | found_in(into / "server", places)
    again = next((line.strip() for line in made.splitlines() if "identical" in line), "not made again")
    return Tally(len(places), len(lost), f"{f'found: {lost}' if lost else 'none found'}; made again: {again}")


def _secrets_refused(into: Path, _: int) -> Tally:
    """Secrets in what a record keeps whole: the command is refused, and leaves nothing."""
    code, work = _code(into), into / "work"
    work.mkdir()
    (work / "cell.py").write_text(CELL + f'API_KEY = "{secret("own_file")}"\n')
    address = f"postgresql://me:{secret('conf_file')}@db/x"
    (code / "conf" / "tracking" / "mine.yaml").write_text(f"uri: {address}\npoints: 100\n")
    env, lost = _environment(code, "sqlite:///mlflow.db", "sqlite:///optuna.db"), set[str]()
    commands = (
        f"trainer.callbacks=[{{class: my.Notify, api_key: {secret('typed_option')}}}]",
        f"+hydra.job.env_set.TOKEN_PASSWORD={secret('typed_environment')}",
        "model.file=cell.py",
        "tracking=mine",
    )
    for place, typed in zip(REFUSED, commands, strict=True):
        _type(work, env, "study.train", *TINY[:-1], *(["model=own"] if "cell" in typed else []), typed)
        if left := {file for file in work.iterdir() if file.name not in ("cell.py", SAID)}:
            lost.add(place)
            shutil.move(left.pop(), into / place)
    lost |= {place for place, files in found_in(work, REFUSED).items() if SAID in files}
    return Tally(len(REFUSED), len(lost), f"exit code 2 and nothing written{f', but for {sorted(lost)}' * bool(lost)}")


def _environment(code: Path, store: str, storage: str) -> dict[str, str]:
    keys = {
        "RNN_STUDY_CARRIERS": str(folder(None, "carriers")),
        "LICENCE_API_KEY": secret("licence_variable"),
        "MLFLOW_TRACKING_PASSWORD": secret("password_variable"),
    }
    return {**os.environ, **keys, "PYTHONPATH": str(code), "MLFLOW_TRACKING_URI": store, "OPTUNA_STORAGE": storage}


def _type(into: Path, env: Mapping[str, str], module: str, *arguments: str) -> str:
    """Type a command; what it says is kept in a file, and returned."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=into, env=dict(env), capture_output=True, text=True, check=False)
    with (into / SAID).open("a") as said:
        said.write(done.stdout + done.stderr)
    return done.stdout


@contextmanager
def _server(into: Path) -> Iterator[str]:
    """MLflow's server on a database of its own."""
    (folder := into / "server").mkdir()
    with running(folder) as (_, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _postgres() -> Iterator[str]:
    """A database on a PostgreSQL server; its address has two secrets, which the server does not ask for."""
    with postgres() as create:
        opened = create("secrets").replace("postgres:@", f"postgres:{secret('storage_address')}@")
        yield f"{opened}&sslpassword={secret('storage_query')}"  # pragma: allowlist secret


def dump(address: str, file: Path) -> None:
    """Write every row of every table of a database to a file."""
    engine = create_engine(address, poolclass=NullPool)
    with engine.connect() as connection, file.open("w") as rows:
        for table in inspect(connection).get_table_names():
            rows.writelines(f"{row}\n" for row in connection.execute(text(f'select * from "{table}"')))


FAULTS = [
    Fault("secrets-kept", "secrets in addresses, variables, changed and new files, a git remote", _secrets_kept),
    Fault(
        "secrets-refused", "secrets in what a record keeps whole: options, files of one's own, conf/", _secrets_refused
    ),
]
