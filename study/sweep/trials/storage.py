"""Where the study lies: opened by many processes at once, watched for the dead."""

import random
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from study.errors import ConfigError
from study.tracking.lock import locked

Direction = Literal["minimize", "maximize"]

BEAT = 20
"""Seconds between signs of life of a running trial, for workers on other machines."""
SILENCE = 120
"""Seconds without a sign of life after which a trial of another machine is given up."""
PAUSES = (0.1, 0.3, 1, 3, 10)
"""Seconds between attempts to open a storage that is busy, or whose tables a machine elsewhere is just creating."""


@contextmanager
def open_study(url: str, slug: str, direction: Direction | None = None) -> Iterator[optuna.Study]:
    """The study of a slug, created with its tables if `direction` is given and it is not there.

    Its connections close with the block: a psycopg connection that nobody closes complains when it is collected.

    Raises:
        ConfigError: the storage cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = _connected(url)
    try:
        if direction is None:
            yield optuna.load_study(storage=storage, study_name=slug)
        else:
            yield optuna.create_study(storage=storage, study_name=slug, direction=direction, load_if_exists=True)
    finally:
        storage.engine.dispose()


def _connected(url: str) -> RDBStorage:
    """The storage, its tables created by one process at a time."""
    patience = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    for pause in (*PAUSES, None):
        try:
            with locked(url), warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats, since Optuna 2.9
                storage = RDBStorage(url, engine_kwargs=patience, heartbeat_interval=BEAT, grace_period=SILENCE)
            if url.startswith("sqlite"):
                _write_one_at_a_time(storage.engine)
            return storage
        except (ArgumentError, ImportError) as error:
            raise ConfigError(f"sweep.storage = {url!r}: Optuna cannot use it: {error}") from error
        except (SQLAlchemyError, StorageInternalError) as error:
            if pause is None:
                raise ConfigError(f"sweep.storage = {url!r}: Optuna cannot open it: {error}") from error
            time.sleep(pause * random.uniform(1, 2))
    raise AssertionError


def _write_one_at_a_time(engine: Engine) -> None:
    """Lock the file from the start of every transaction.

    SQLite has no SELECT FOR UPDATE: left to itself it lets two processes read a trial as waiting, and both take it.
    """

    @event.listens_for(engine, "connect")
    def _leave_transactions_to_us(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _lock(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections from before
