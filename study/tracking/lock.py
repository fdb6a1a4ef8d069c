"""Cross-process lock around the creation of a database: concurrent CREATE TABLE statements fail."""

import getpass
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

from filelock import FileLock
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import make_url

from study.addresses import whole


@contextmanager
def locked(url: str, what: str = "tables") -> Iterator[None]:
    """Hold the lock `what` of a database: on all machines for PostgreSQL, on this machine for anything else.

    Args:
        url: of the database, as SQLAlchemy has it.
        what: names the lock; different names do not exclude each other.
    """
    if url.startswith("postgresql"):
        key = int.from_bytes(sha256(what.encode()).digest()[:4])  # not the URL: machines may spell it differently
        with closing(create_engine(make_url(whole(url)), poolclass=NullPool).connect()) as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": key})  # until the connection closes
            yield
    else:
        with FileLock(_file(url, what)):
            yield


def _file(url: str, what: str) -> Path:
    """Return the lock file: one for each database (however its path is spelled) and user."""
    place = Path(url.removeprefix("sqlite:///")).resolve() if url.startswith("sqlite:///") else url
    name = sha256(f"{what} of {place} by {getpass.getuser()}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"study-{name}.lock")
