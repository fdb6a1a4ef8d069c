"""Exported networks in MLflow: LoggedModels, which load where this package is not."""

import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException

from study.disk import reason
from study.errors import ConfigError
from study.tracking.client import client_of
from study.tracking.reader import Logged

READY = "READY"
LAST, BEST = "last", "best"
DIGESTS = {LAST: "weights_final", BEST: "weights_best"}
"""The tags of a run with the digests of the weights it ended with, and of those of its best validation."""


def save(
    folder: Path, module: Any, example: Any, outputs: int, about: Mapping[str, str], files: Mapping[str, bytes]
) -> Path:
    """Write a network as MLflow keeps one, in its format `pt2`: a graph and tensors, nothing to unpickle.

    Args:
        folder: to write into; it must not be there.
        module: takes one array of the example's type, whose first two dimensions may have any size.
        example: of what enters.
        outputs: last dimension of what leaves; the first two are those of the example.
        about: for a reader of the model.
        files: that travel with it, by name.

    Returns:
        The file with the graph.
    """
    import mlflow
    import numpy as np
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    logging.getLogger("mlflow.models").setLevel(logging.ERROR)  # it has advice for those who log a model by hand
    beside = folder.with_name(f"{folder.name}-files")
    beside.mkdir()
    for name, content in files.items():
        (beside / name).write_bytes(content)
    inner = [TensorSpec(example.dtype, (-1, -1, *example.shape[2:]))]
    outer = [TensorSpec(np.dtype("float32"), (-1, -1, outputs))]
    mlflow.pytorch.save_model(
        module,
        str(folder),
        signature=ModelSignature(Schema(inner), Schema(outer)),
        input_example=example,
        serialization_format="pt2",
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", f"mlflow=={mlflow.__version__}"],
        metadata=dict(about),
        extra_files=[str(beside / name) for name in files],
    )
    shutil.rmtree(beside)
    return folder / "data" / "model.pt2"


def exported(run: Logged, which: str) -> str | None:
    """The address of the model that was exported of some weights of a run; None: there is none."""
    described, page = _tags(run, which), None
    while True:
        found = client_of(run.uri).search_logged_models([run.experiment], page_token=page)
        for model in found:
            if model.source_run_id == run.run_id and described.items() <= model.tags.items() and _whole(model):
                return str(model.model_uri)
        if not (page := found.token):
            return None


def log(run: Logged, which: str, folder: Path) -> str:
    """Log a written network as a model of the run's experiment; return its address.

    Raises:
        ConfigError: the store does not take it.
    """
    client, name = client_of(run.uri), re.sub(r"[^\w-]+", "-", f"{run.name}-{which}")
    try:
        about = run.run_id, _tags(run, which)
        model = client.create_logged_model(run.experiment, name, *about, model_type="recurrent network")
        client.log_model_artifacts(model.model_id, str(folder))
        client.finalize_logged_model(model.model_id, READY)
        client.log_outputs(run.run_id, [LoggedModelOutput(model.model_id, 0)])
    except (MlflowException, OSError) as error:
        raise ConfigError(f"{run.uri} does not take the model of run {run.run_id}: {reason(error)}") from error
    return str(model.model_uri)


def _tags(run: Logged, which: str) -> dict[str, str]:
    """Of a model that is exported of a run as it is: one that was resumed since has other weights."""
    return {"weights": which, "digest": run.tags.get(DIGESTS[which], "")}


def _whole(model: Any) -> bool:
    return bool(model.status.value == READY)
