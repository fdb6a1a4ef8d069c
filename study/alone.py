"""One process at a time: two that create the tables of a new database at once trip over each other."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

from filelock import FileLock
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import make_url

KEY = 0x5EED
"""Of the advisory lock: any number that others in the same database do not use."""


@contextmanager
def alone(url: str) -> Iterator[None]:
    """Keep other processes that ask for the same database out: on all machines for PostgreSQL, else on this one."""
    if url.startswith("postgresql"):
        with closing(create_engine(make_url(url), poolclass=NullPool).connect()) as connection:
            connection.execute(text("select pg_advisory_lock(:key)"), {"key": KEY})  # until the connection closes
            yield
    else:
        name = f"study-{sha256(url.encode()).hexdigest()[:16]}.lock"
        with FileLock(Path(tempfile.gettempdir(), name)):
            yield
