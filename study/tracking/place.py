"""Where a run belongs: its name and its relatives in MLflow, and where its checkpoint lies. No MLflow here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where one run belongs. None of it decides a number of the run.

    Attributes:
        name: of the MLflow run; None: its model, clip policy, task and seed.
        parent: MLflow run id of the run that it is nested under.
        tags: more MLflow tags.
        checkpoints: folder of its checkpoint, which is named after the MLflow run; None: no checkpoint is saved.
        resume: MLflow run id of an interrupted run to continue, from its checkpoint in `checkpoints`, or from the
            start where it has none; None: a new run.
        start: another run's state, which this run continues under a changed treatment; None: it starts by itself.
        patience: seconds that a store in trouble is waited for before the run begins.
        announce: called with the MLflow run id before anything is trained.
    """

    name: str | None = None
    parent: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    checkpoints: Path | None = None
    resume: str | None = None
    start: dict[str, Any] | None = None
    patience: float = 5.0
    announce: Callable[[str], object] = lambda run_id: None
