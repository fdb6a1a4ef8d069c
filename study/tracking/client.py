"""MLflow's client of a store whose address may lack its password."""

import os
import re
import shlex
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from study.addresses import whole
from study.errors import ConfigError
from study.installation import program
from study.tracking.trouble import WAITING

REVISION = re.compile(r"out-of-date database schema \(found version (\w+)")
"""What MLflow says of a database that another version of it made; nothing else tells it from a store in trouble."""
REVISIONS = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
"""A file for each revision of the tables that the installed MLflow knows."""


def client_of(uri: str) -> MlflowClient:
    """The client of a store. A request to a server fails within minutes; the user's own settings of MLflow go first.

    Raises:
        ConfigError: the address lacks its password, and nothing here knows it; or another MLflow made the store.
    """
    os.environ.update(WAITING | os.environ)
    if (address := whole(uri)) != uri:  # MLflow prints where a run is seen when it ends, with the password
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    try:
        return MlflowClient(tracking_uri=address)
    except MlflowException as error:
        if (found := REVISION.search(str(error))) is None:
            raise
        raise ConfigError(f"{uri}: {_of_another_version(uri, found[1])}") from error


def _of_another_version(uri: str, revision: str) -> str:
    """Say which of the two versions of MLflow is to be changed, that of the store or the installed one."""
    if any(REVISIONS.glob(f"{revision}_*.py")):
        upgrade = f"`{program('mlflow')} db upgrade {shlex.quote(uri)}`"
        return f"an earlier MLflow made this store; copy it, then {upgrade} brings it to the installed version"
    return f"a later MLflow than the installed {mlflow.__version__} made this store; install that one"
