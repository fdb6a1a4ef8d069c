"""`conf/trainer`, `conf/tracking`, `conf/data`: how runs are made and kept."""

import os
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from study.addresses import keep
from study.schema.base import Count, Decides, Positive, Strict

NAME_VARIABLE = "MLFLOW_EXPERIMENT_NAME"
"""MLflow's own variable; the slug where none is given, see `conf/train.yaml`."""


def _is_a_name(slug: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", slug) or not slug.strip("."):
        source = f"; it comes from {NAME_VARIABLE}" if slug == os.environ.get(NAME_VARIABLE) else ""
        raise ValueError(f"names a folder: letters without accents, digits, '_', '-' and '.' are allowed{source}")
    return slug


Slug = Annotated[str, AfterValidator(_is_a_name)]
"""Names the MLflow experiment, the Optuna study and the folder of the output."""


class DataConfig(Strict):
    """Folders of data files, of the data packages and of downloads; null: see `study.data.folders`."""

    carriers: str | None
    cache: str | None


class TrainerConfig(Strict):
    """The budget and the pace; exactly one of `BUDGETS` is the budget.

    `max_steps` counts the steps of the sequences (characters, words, days) that losses were taken at: runs that differ
    in batch size or truncation then see the same data, and make different numbers of updates.

    `accelerator` decides numbers: a GPU rounds differently from a CPU and training amplifies that, so that one seed
    makes two different runs on them. Runs on both are two arms.

    `profiler` is one of Lightning's; its table is an artifact. `callbacks` are Lightning's or the user's: each
    the dotted name of a class, or a mapping of `class` and the arguments of its constructor. They may change what is
    trained, so they decide the arm, and a run with callbacks keeps no checkpoint: it does not know their state.
    """

    BUDGETS: ClassVar[tuple[str, ...]] = ("max_updates", "max_steps", "max_epochs", "max_seconds")

    max_updates: Count | None
    max_steps: Count | None
    max_epochs: Count | None
    max_seconds: Positive | None
    validate_every: Count | None
    patience: Count | None
    divergence: Annotated[float, Field(gt=1)] | None
    accelerator: Literal["cpu", "cuda"]
    checkpoint: Annotated[Annotated[float, Field(ge=0, allow_inf_nan=False)] | None, Decides.RECORD]
    progress_bar: Annotated[bool, Decides.HERE]
    profiler: Annotated[Literal["simple", "advanced"] | None, Decides.RECORD]
    callbacks: list[str | dict[str, Any]]

    @field_validator("callbacks")
    @classmethod
    def _name_their_classes(cls, plans: list[str | dict[str, Any]]) -> list[str | dict[str, Any]]:
        for plan in plans:
            name = plan if isinstance(plan, str) else plan.get("class")
            if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name):
                raise ValueError("each is the dotted name of a class, or {class: its dotted name, argument: value}")
        return plans

    @classmethod
    def canonical(cls, values: dict[str, str]) -> dict[str, str]:
        """Runs without callbacks are the runs of versions that knew none."""
        return {key: value for key, value in values.items() if (key, value) != ("callbacks", "[]")}

    @model_validator(mode="after")
    def _one_budget(self) -> "TrainerConfig":
        if sum(getattr(self, key) is not None for key in self.BUDGETS) != 1:
            raise ValueError(
                "the budget is either max_updates, max_steps, max_epochs or max_seconds: set the others to null"
            )
        return self

    @property
    def budget(self) -> str:
        """The budget in words."""
        key, number = self._stated
        return f"{number:,} {key.removeprefix('max_')}"

    def longer(self, factor: int) -> str:
        """Overrides for so many times the budget."""
        key, number = self._stated
        return f"trainer.{key}={factor * number}"

    @property
    def _stated(self) -> tuple[str, int | float]:
        """The key of the budget, and its number."""
        return next((key, number) for key in self.BUDGETS if (number := getattr(self, key)) is not None)


class TrackingConfig(Strict):
    """The MLflow store, and how densely histories are drawn there (in full they are in gradients.parquet).

    `uri` has no password: `study.addresses` keeps it.
    """

    uri: Annotated[str, AfterValidator(keep), Decides.HERE]
    points: Annotated[int, Field(ge=10, le=500)]
