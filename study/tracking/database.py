"""A SQLite file looked at before MLflow opens it: it makes tables in any database."""

import sqlite3
from pathlib import Path

from study.errors import ConfigError

PREFIX = "sqlite:///"


def refuse_other(uri: str) -> None:
    """Refuse a database that MLflow would change by reading it.

    Raises:
        ConfigError: it is not there, no store of MLflow, or of a version before or after the one installed.
    """
    if not uri.startswith(PREFIX):
        return
    file = Path(uri.removeprefix(PREFIX))
    if not file.is_file():
        raise ConfigError(f"{uri}: there is no such store")
    tables = _tables(uri, file)
    from mlflow.store.tracking.dbmodels.models import Base  # as MLflow itself decides whether to make tables

    if "experiments" not in tables:
        raise ConfigError(f"{uri}: this database is no store of MLflow; nothing is read from it, and nothing changed")
    if lacking := set(Base.metadata.tables) - tables:
        raise ConfigError(
            f"{uri}: this store lacks the table {min(lacking)!r} of the installed MLflow; reading does not change a "
            f"store: `mlflow db upgrade {uri}` does"
        )


def _tables(uri: str, file: Path) -> set[str]:
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
        try:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise ConfigError(f"{uri}: this file is no database that can be read: {error}") from error
