"""A store of runs, opened: its tables and experiments are made where they are missing."""

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from study.errors import ConfigError
from study.tracking.client import client_of
from study.tracking.database import locked, make_whole
from study.tracking.deleted import restoring_experiment

TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""So that the UI opens its views of training runs, not those of language-model traces."""


def prepare(uri: str, slug: str) -> str:
    """Create the store's tables and the experiment where they are missing; return the experiment's id.

    Safe to call from several processes at once.

    Raises:
        ConfigError: the store cannot be used, or the experiment was deleted.
    """
    try:
        with locked(uri):
            make_whole(uri, make_tables)
            client = client_of(uri)
            found = client.get_experiment_by_name(slug)
            if found is None:
                return _create(client, slug)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        raise ConfigError(f"tracking.uri = {uri!r}: MLflow cannot use this store: {error}") from error
    if found.lifecycle_stage != "active":
        how = restoring_experiment(uri, found.experiment_id)
        raise ConfigError(f"slug = {slug!r}: this MLflow experiment cannot be used, {how}; or choose another slug")
    return found.experiment_id


def make_tables(uri: str) -> None:
    """Make MLflow's tables in a database, and in them the experiment that every store has."""
    client_of(uri).search_experiments(max_results=1)


def _create(client: MlflowClient, slug: str) -> str:
    """The id of a new experiment, or of the one that another machine has created in the meantime."""
    try:
        return client.create_experiment(slug, tags=TRAINING)
    except MlflowException:
        if (found := client.get_experiment_by_name(slug)) is None:
            raise
        return found.experiment_id
