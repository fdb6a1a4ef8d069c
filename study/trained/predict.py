"""Predictions of a trained network for data that are not its task's own."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import torch

from study.analysis.predictions import Predictions
from study.models import State
from study.schema.task import TASKS
from study.tasks.contract import NewData

if TYPE_CHECKING:
    from study.trained.model import TrainedNetwork


def predict(trained: "TrainedNetwork", data: str | Path | pd.DataFrame) -> pd.DataFrame:
    """What a network predicts at every step of new data, read from the zero state.

    Args:
        trained: see `load_trained`.
        data: see `study.api.predict`.

    Raises:
        ConfigError: the data cannot be read as those that the network was trained on.
    """
    source = data if isinstance(data, pd.DataFrame) else Path(data).expanduser()
    reading: NewData = TASKS.implementation(trained.config.task.name).read(trained.config.task, source, trained.learnt)
    collected = Predictions(reading.batches, reading.names, trained.learnt)
    state: State | None = None
    with torch.no_grad():
        for batch in reading.batches.epoch(0):
            outputs, state = trained.model(batch.inputs, state if reading.batches.stateful else None, batch.mask)
            collected(trained.loss.predict(outputs, batch.mask), batch)
    found = collected.frame()
    found.attrs = {"measures": trained.learnt.measures(found), "unknown": reading.unknown}
    return found
