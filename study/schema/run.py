"""`conf/trainer`, `conf/tracking`, `conf/data`: how runs are made and kept."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from study.schema.base import Count, Strict


class Data(Strict):
    """Where data files lie, relative to the project's root: of the data packages, and downloaded ones."""

    carriers: str
    cache: str


class Trainer(Strict):
    """The budget and the pace; exactly one of `max_updates` and `max_epochs` is the budget."""

    max_updates: Count | None
    max_epochs: Count | None
    validate_every: Count | None
    patience: Count | None
    divergence: Annotated[float, Field(gt=1)] | None
    accelerator: Literal["cpu", "cuda"]
    checkpoint: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    progress_bar: bool

    @model_validator(mode="after")
    def _one_budget(self) -> "Trainer":
        if (self.max_updates is None) == (self.max_epochs is None):
            raise ValueError("the budget is either max_updates or max_epochs: give one, set the other to null")
        return self


class Tracking(Strict):
    """The MLflow store, and how densely histories are drawn there (in full they are in gradients.parquet)."""

    uri: str
    points: Annotated[int, Field(ge=10, le=500)]
