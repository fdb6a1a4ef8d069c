"""Databases that many processes open at once: one of them makes the tables, whole or not at all."""

import getpass
import os
import shlex
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from filelock import FileLock
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import make_url

from study.addresses import sqlite_file, whole
from study.disk import reason
from study.errors import ConfigError
from study.installation import door, program

CONNECTING = 10
"""Seconds in which a server of PostgreSQL has to answer."""


@contextmanager
def locked(url: str, what: str = "tables") -> Iterator[None]:
    """Hold the lock `what` of a database: on all machines for PostgreSQL, on this machine for anything else.

    Args:
        url: of the database, as SQLAlchemy has it.
        what: names the lock; different names do not exclude each other.
    """
    if url.startswith("postgresql"):
        key = int.from_bytes(sha256(what.encode()).digest()[:4])  # not the URL: machines may spell it differently
        engine = create_engine(make_url(whole(url)), poolclass=NullPool, connect_args={"connect_timeout": CONNECTING})
        with closing(engine.connect()) as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": key})  # until the connection closes
            yield
    else:
        file = _lock_file(url, what)
        with FileLock(file):
            try:
                yield
            finally:
                with suppress(OSError):  # on Windows filelock removes it
                    file.unlink()  # still held: whoever waits for it sees that it is gone, and tries again


def make_whole(url: str, make: Callable[[str], object]) -> None:
    """Make a SQLite database that is not there under another name, and move it into place when it has all its tables.

    Tables are made by dozens of statements that are no one transaction: a process killed among them would leave a file
    that is neither new nor complete, and that MLflow refuses. A file of tables without a row is such a one, and is made
    again. To be called under the lock of the tables; nothing is done for other databases.

    Args:
        url: of the database.
        make: makes the database of an address, and puts a row into it.
    """
    file = sqlite_file(url)
    if file is None or not file.absolute().parent.is_dir() or _has_rows(file):
        return
    file = file.resolve()  # a link stays one
    for left in file.parent.glob(f".{file.name}.*.new*"):  # by a process that was killed here
        left.unlink(missing_ok=True)
    part = file.with_name(f".{file.name}.{uuid.uuid4().hex[:8]}.new")  # MLflow remembers what it has opened
    try:
        make(f"sqlite:///{part}")
        file.with_name(f"{file.name}-journal").unlink(missing_ok=True)  # it would be applied to the new file
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def _has_rows(file: Path) -> bool:
    """Whether there is anything in a database besides its tables and their version, or it is none that can be read."""
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(file)) as connection:  # rolls back what was under way in a process that was killed
            names = sorted(_tables(connection), key="experiments".__ne__)  # which has a row wherever MLflow was used
            kept = (name for name in names if name != "alembic_version")
            return any(connection.execute(f'select 1 from "{name}" limit 1').fetchone() for name in kept)
    except sqlite3.Error:
        return True


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}


def refuse_other(uri: str) -> None:
    """Refuse a database that MLflow would change by reading it: it makes tables in any.

    Raises:
        ConfigError: it is not there, no store of MLflow, or of a version before or after the one installed.
    """
    if (file := sqlite_file(uri)) is None:
        return
    doors = f"`{door('train')}` or `{door('sweep')}`"
    if not file.is_file():
        raise ConfigError(f"{uri}: there is no such store; whatever trains makes it, {doors}")
    try:
        tables = _read_tables(uri, file)
    except sqlite3.OperationalError as error:
        raise ConfigError(f"{uri}: this database cannot be read: {_why_not(file, error)}") from error
    from mlflow.store.tracking.dbmodels.models import Base  # as MLflow itself decides whether to make tables

    if tables <= {*Base.metadata.tables, "alembic_version"} and not _has_rows(file):
        raise ConfigError(
            f"{uri}: nothing is kept in this store yet, its making was interrupted; whatever trains makes it whole, "
            f"{doors}"
        )
    if "experiments" not in tables:
        raise ConfigError(f"{uri}: this database is no store of MLflow; nothing is read from it, and nothing changed")
    if lacking := set(Base.metadata.tables) - tables:
        raise ConfigError(
            f"{uri}: this store lacks the table {min(lacking)!r} of the installed MLflow; reading does not change a "
            f"store: `{program('mlflow')} db upgrade {shlex.quote(uri)}` does"
        )


def _why_not(file: Path, error: sqlite3.OperationalError) -> str:
    if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_READONLY and file.with_name(f"{file.name}-journal").exists():
        return f"a process was killed while it wrote, and reading rolls nothing back: `{door('train')}` does"
    return reason(error)


def refuse_damaged(url: str, key: str) -> None:
    """Refuse a file that is there and no database; of a server nothing is said.

    Args:
        url: of the database.
        key: of the configuration that has it.
    """
    if (file := sqlite_file(url)) is not None and file.is_file():
        with suppress(sqlite3.OperationalError):  # locked, or to be rolled back: whoever opens it does
            _read_tables(f"{key} = {url!r}", file)


def _read_tables(shown: str, file: Path) -> set[str]:
    """The names of the tables in a SQLite database that messages show as `shown`.

    Raises:
        ConfigError: the file is none, or is damaged.
        OperationalError: it cannot be read now.
    """
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return _tables(connection)
    except sqlite3.OperationalError:
        raise  # another time it may be read
    except sqlite3.DatabaseError as error:
        raise ConfigError(
            f"{shown}: this file is no database that can be read: {error}; move it away, or bring back a copy"
        ) from error


def _lock_file(url: str, what: str) -> Path:
    """The lock file: one for each database (however its path is spelled) and user; it is there while the lock is."""
    file = sqlite_file(url)
    name = sha256(f"{what} of {file.resolve() if file else url} by {getpass.getuser()}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"study-{name}.lock")
