"""The database of the study, opened by many processes at once."""

import random
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from study.addresses import sqlite_file, whole
from study.disk import writing
from study.errors import ConfigError
from study.standing import Direction
from study.tracking.database import locked, refuse_damaged

BEAT = 20
"""Seconds between heartbeats of a running trial, by which workers on other machines know it is alive."""
SILENCE = 120
"""Seconds without a heartbeat after which a trial of another machine is given up."""
PAUSES = (0.1, 0.3, 1, 3, 10)
"""Seconds between attempts to open a storage that is busy, or whose tables another machine is creating."""


@contextmanager
def open_study(url: str, slug: str, direction: Direction | None = None) -> Iterator[optuna.Study]:
    """Open the study of a slug; with a `direction` create it, and its tables, where it is missing.

    Connections are closed with the block: psycopg warns of one that is collected open.

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


@contextmanager
def existing_study(url: str, slug: str) -> Iterator[optuna.Study | None]:
    """Open the study of a slug in a storage that is there, to read it; None where it has no such study."""
    study: optuna.Study | None = None
    with ExitStack() as opened:
        with suppress(KeyError):  # the storage has no such study
            study = opened.enter_context(open_study(url, slug))
        yield study


def _connected(url: str) -> RDBStorage:
    """Open the storage; of the processes of this machine one at a time creates its tables."""
    if (file := sqlite_file(url)) is not None and not (folder := file.absolute().parent).is_dir():
        raise ConfigError(f"sweep.storage = {url!r}: there is no folder {folder}")
    refuse_damaged(url, "sweep.storage")
    patience = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    for pause in (*PAUSES, None):
        try:
            with writing(url), locked(url), warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats, since Optuna 2.9
                storage = RDBStorage(whole(url), engine_kwargs=patience, heartbeat_interval=BEAT, grace_period=SILENCE)
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

    SQLite has no SELECT FOR UPDATE: without the lock two processes can read a trial as waiting, and both claim it.
    """

    @event.listens_for(engine, "connect")
    def _leave_transactions_to_us(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _lock(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections from before the listeners
