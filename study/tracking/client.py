"""MLflow's client of a store whose address may lack its password."""

from mlflow import MlflowClient

from study.addresses import whole


def client_of(uri: str) -> MlflowClient:
    """The client of a store.

    Raises:
        ConfigError: the address lacks its password, and nothing here knows it.
    """
    return MlflowClient(tracking_uri=whole(uri))
