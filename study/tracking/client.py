"""MLflow's client of a store whose address may lack its password."""

import os

from mlflow import MlflowClient

from study.addresses import whole
from study.tracking.trouble import WAITING


def client_of(uri: str) -> MlflowClient:
    """The client of a store. A request to a server fails within minutes; the user's own settings of MLflow go first.

    Raises:
        ConfigError: the address lacks its password, and nothing here knows it.
    """
    os.environ.update(WAITING | os.environ)
    if (address := whole(uri)) != uri:  # MLflow prints where a run is seen when it ends, with the password
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    return MlflowClient(tracking_uri=address)
