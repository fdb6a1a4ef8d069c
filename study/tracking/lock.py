"""One process at a time: two that create the tables of a new database at once trip over each other."""

import getpass
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

from filelock import FileLock
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import make_url


@contextmanager
def locked(url: str, what: str = "tables") -> Iterator[None]:
    """Keep others out that want to do the same to a database: on all machines for PostgreSQL, else on this one."""
    if url.startswith("postgresql"):
        key = int.from_bytes(sha256(what.encode()).digest()[:4])  # the same however the machine spells the address
        with closing(create_engine(make_url(url), poolclass=NullPool).connect()) as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": key})  # until the connection closes
            yield
    else:
        with FileLock(_file(url, what)):
            yield


def _file(url: str, what: str) -> Path:
    """What is locked: one file a database, however its path is spelled, and a user, whose it is."""
    place = Path(url.removeprefix("sqlite:///")).resolve() if url.startswith("sqlite:///") else url
    name = sha256(f"{what} of {place} by {getpass.getuser()}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"study-{name}.lock")
