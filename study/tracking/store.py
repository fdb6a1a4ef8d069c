"""A store of runs, opened: its tables and experiments are made where they are missing."""

from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from study.disk import reason, writing
from study.errors import ConfigError
from study.tracking.absent import restoring_experiment
from study.tracking.client import client_of
from study.tracking.database import locked, make_whole, refuse_damaged
from study.tracking.trouble import briefly, patiently

TRAINING = {"mlflow.experimentKind": "custom_model_development"}
"""So that the UI opens its views of training runs, not those of language-model traces."""


def prepare(uri: str, slug: str, patience: float = 5.0) -> str:
    """Create the store's tables and the experiment where they are missing; return the experiment's id.

    Safe to call from several processes at once.

    Args:
        uri: of the store.
        slug: names the experiment.
        patience: seconds to wait for a store in trouble.

    Raises:
        Trouble: the store does not answer.
        ConfigError: the store cannot be used, or the experiment was deleted.
    """
    try:
        found = patiently(lambda: _found_or_made(uri, slug), uri, patience)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        raise ConfigError(f"tracking.uri = {uri!r}: MLflow cannot use this store: {reason(error)}") from error
    if found.lifecycle_stage != "active":
        how = restoring_experiment(uri, found.experiment_id)
        raise ConfigError(f"slug = {slug!r}: this MLflow experiment cannot be used, {how}; or choose another slug")
    return str(found.experiment_id)


def _found_or_made(uri: str, slug: str) -> Experiment:
    with writing(uri), locked(uri), briefly():
        make_whole(uri, make_tables)
        refuse_damaged(uri, "tracking.uri")
        client = client_of(uri)
        return client.get_experiment_by_name(slug) or _made(client, slug)


def make_tables(uri: str) -> None:
    """Make MLflow's tables in a database, and in them the experiment that every store has."""
    client_of(uri).search_experiments(max_results=1)


def _made(client: MlflowClient, slug: str) -> Experiment:
    """A new experiment, or the one that another machine has made in the meantime."""
    try:
        return client.get_experiment(client.create_experiment(slug, tags=TRAINING))
    except MlflowException:
        if (found := client.get_experiment_by_name(slug)) is None:
            raise
        return found
