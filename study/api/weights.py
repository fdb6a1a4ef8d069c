"""The network of a run, and what it predicts."""

from typing import TYPE_CHECKING

import pandas as pd

from study.api.tables import one_run

if TYPE_CHECKING:
    from pathlib import Path

    from study.models import RecurrentModel
    from study.trained.model import TrainedNetwork


def model(run: str, weights: str = "best", store: str | None = None, trust_code: bool = False) -> "RecurrentModel":
    """Return the network of a run with its weights, on the CPU, in evaluation mode.

    Args:
        run: see `study.api`.
        weights: `best`: those of its best validation; `last`: those it ended with, which its measures on test are of.
        store: see `study.api`.
        trust_code: whether code that was logged with the run may be executed.

    Returns:
        `outputs, state = network(inputs)`, inputs (time, batch, features), or tokens (time, batch).

    Raises:
        ConfigError: there is no such run, or it keeps no such weights.
    """
    return _trained(run, weights, store, trust_code).model


def predict(
    run: str, data: "str | Path | pd.DataFrame", weights: str = "best",
    store: str | None = None, trust_code: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Use the network of a run on new data, also where its training data are not.

    Args:
        run: see `study.api`.
        data: a file in the form that the task of the run reads; to forecast, a table too.
        weights: see `model`.
        store: see `study.api`.
        trust_code: see `model`.

    Returns:
        One row a step, as in docs/trained-models.md; `attrs` has `measures` over all rows, and `unknown`, the share of
        words or characters that the training part does not have.

    """
    from study.trained.predict import predict as predicted

    return predicted(_trained(run, weights, store, trust_code), data)


def _trained(run: str, weights: str, store: str | None, trust_code: bool) -> "TrainedNetwork":
    from study.reproduce.trust import code_folder
    from study.trained.model import load_trained

    with code_folder(trust_code) as folder:
        return load_trained(one_run(run, store), weights, folder)
