"""`conf/task`: what is learnt, from which data; one file a family."""

from typing import Annotated

from pydantic import Field

from study.schema.task.base import Drawn, Kind, Task
from study.schema.task.forecasting import (
    ForecastingAdding,
    ForecastingCSV,
    ForecastingETTh1,
    ForecastingSineMix,
    ForecastingStocks,
)
from study.schema.task.labelling import (
    LabellingCoNLL,
    LabellingEWT,
    LabellingHironsan,
    LabellingParity,
    LabellingPorttinari,
    LabellingTemporalOrder,
    LabellingWNUT17,
)
from study.schema.task.language import LanguageBible, LanguageCopying, LanguageText, LanguageTinyShakespeare

AnyTask = Annotated[
    ForecastingStocks
    | ForecastingETTh1
    | ForecastingCSV
    | ForecastingSineMix
    | ForecastingAdding
    | LanguageBible
    | LanguageTinyShakespeare
    | LanguageText
    | LanguageCopying
    | LabellingPorttinari
    | LabellingEWT
    | LabellingHironsan
    | LabellingWNUT17
    | LabellingCoNLL
    | LabellingTemporalOrder
    | LabellingParity,
    Field(discriminator="name"),
]

__all__ = ["AnyTask", "Drawn", "Kind", "Task"]
