"""The strict base of every config group."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Strict(BaseModel):
    """A config group: unknown keys, wrong types and values out of range are errors; values never change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
