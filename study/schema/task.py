"""`conf/task`: what is learnt, from which data."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from study.schema.base import Count, Strict

Kind = Literal["regression", "binary", "multiclass"]


class Task(Strict):
    """What every task states: how long a sequence is, how many run side by side, how the data are split.

    `kind` is what the targets are: it decides which losses fit. `horizon` is the lag in steps over which the
    task needs the past; the verdict asks for the gradient there.
    """

    kind: ClassVar[Kind]
    family: ClassVar[Literal["forecasting", "language", "labelling"]]
    batch_size: Count
    horizon: Count
    validation: Annotated[float, Field(gt=0, lt=1)]
    test: Annotated[float, Field(gt=0, lt=1)]

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> "Task":
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave nothing to train on: their sum must stay below 1")
        return self


class ForecastingStocks(Task):
    """Daily stock prices: at every day predict the return or the volatility of the days ahead."""

    kind: ClassVar[Kind] = "regression"
    family: ClassVar = "forecasting"
    name: Literal["forecasting_stocks"]
    tickers: Annotated[list[Literal["AAPL", "FB", "GOOG", "IBM", "MSFT"]], Field(min_length=1)]
    target: Literal["log_return", "log_volatility"]
    ahead: Annotated[int, Field(ge=1, le=250)]
    seq_len: Annotated[int, Field(ge=2)]


class LanguageBibleChar(Task):
    """The King James Bible, next character."""

    kind: ClassVar[Kind] = "multiclass"
    family: ClassVar = "language"
    name: Literal["language_bible_char"]
    seq_len: Annotated[int, Field(ge=2)]


class LabellingPorttinariPos(Task):
    """Porttinari, Portuguese news: one universal part of speech for every word."""

    kind: ClassVar[Kind] = "multiclass"
    family: ClassVar = "labelling"
    name: Literal["labelling_porttinari_pos"]
    min_count: Count


AnyTask = Annotated[ForecastingStocks | LanguageBibleChar | LabellingPorttinariPos, Field(discriminator="name")]
