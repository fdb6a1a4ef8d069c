"""`conf/task/forecasting_*`: at every step, predict what is `ahead`."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from study.schema.base import Count, Decides, Finite, NotNegative
from study.schema.task.base import TASKS, Kind, LengthsConfig, SplitByShares, Steps, TaskConfig

Ahead = Annotated[int, Field(ge=1)]
Names = Annotated[list[str], Field(min_length=1)]
Ticker = Literal["AAPL", "FB", "GOOG", "IBM", "MSFT"]
Channel = Literal["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]


class ForecastingConfig(TaskConfig):
    """Real values: windows of `seq_len` steps; `season` is the period in steps of the seasonal naive forecast."""

    kind: ClassVar[Kind] = "regression"
    family: ClassVar = "forecasting"
    seq_len: Steps
    season: Annotated[Count, Decides.RECORD]


@TASKS.member("study.tasks.forecasting.stocks:Stocks")
class ForecastingStocksConfig(ForecastingConfig, SplitByShares):
    """Daily stock prices; `multivariate`: all tickers enter and are predicted together, else each by itself.

    `target`: the volatility, the return or the price `ahead` days later. Of a return or a price next to nothing can be
    learnt: that it stays is as good a forecast as any.
    """

    name: Literal["forecasting_stocks"]
    tickers: Annotated[list[Ticker], Field(min_length=1)]
    target: Literal["log_return", "log_volatility", "price"]
    ahead: Annotated[int, Field(ge=1, le=250)]
    multivariate: bool

    @property
    def log_volatility(self) -> bool:
        """See `TaskConfig`."""
        return self.target == "log_volatility"


@TASKS.member("study.tasks.forecasting.etth1:ETTh1")
class ForecastingETTh1Config(ForecastingConfig):
    """Electricity transformer, hourly; all 7 channels enter, `targets` are predicted at every one of `ahead`."""

    name: Literal["forecasting_etth1"]
    targets: Annotated[list[Channel], Field(min_length=1)]
    ahead: Annotated[list[Ahead], Field(min_length=1)]


@TASKS.member("study.tasks.forecasting.csv:CSV")
class ForecastingCSVConfig(ForecastingConfig, SplitByShares):
    """The user's own table, one row a step; `features` enter beside the targets.

    `date` names the column of times, or several that make a time together; null: rows are steps in their order. Targets
    that are null are the price of a known vendor, or the only column of numbers. Of separator, decimal sign and form of
    dates, null is what the file shows without doubt. `frequency` is the distance of all rows as pandas writes it (`h`,
    `D`, `B`, ...), null: any that grows.
    """

    name: Literal["forecasting_csv"]
    path: Annotated[str, Decides.DATA]
    date: str | Names | None
    targets: Names | None
    features: list[str]
    ahead: Annotated[list[Ahead], Field(min_length=1)]
    separator: Literal[",", ";", "|", "tab"] | None
    decimal: Literal[".", ","] | None
    date_format: str | None
    frequency: Annotated[str | None, Decides.RECORD]
    missing: Literal["refuse", "forward", "drop"]

    @property
    def reading(self) -> dict[str, Any]:
        """How the table is to be read: the arguments of `study.data.tables.table.TableKeys`."""
        keys = "date", "targets", "features", "decimal", "date_format", "frequency", "missing"
        return {key: getattr(self, key) for key in keys} | {
            "separator": "\t" if self.separator == "tab" else self.separator
        }

    @model_validator(mode="after")
    def _every_column_has_one_part(self) -> "ForecastingCSVConfig":
        dates = [self.date] if isinstance(self.date, str) else self.date or []
        columns = [name.strip() for name in (*dates, *(self.targets or []), *self.features)]
        if twice := sorted({column for column in columns if columns.count(column) > 1}):
            raise ValueError(f"date, targets and features name {', '.join(twice)} more than once")
        return self


@TASKS.member("study.tasks.forecasting.sine_mix:SineMix")
class ForecastingSineMixConfig(ForecastingConfig, SplitByShares):
    """A sum of sines of the given `periods` (steps) with unit amplitude, and normal `noise` (standard deviation)."""

    name: Literal["forecasting_sine_mix"]
    periods: Annotated[list[Annotated[Finite, Field(gt=2)]], Field(min_length=1)]
    steps: Steps
    noise: NotNegative
    ahead: Annotated[list[Ahead], Field(min_length=1)]


@TASKS.member("study.tasks.forecasting.lorenz:Lorenz")
class ForecastingLorenzConfig(ForecastingConfig, SplitByShares):
    """Lorenz's equations: `steps` states, `dt` units of time apart; the next one is predicted."""

    feeds_back: ClassVar[bool] = True
    name: Literal["forecasting_lorenz"]
    dt: Annotated[float, Field(gt=0, le=0.05)]
    steps: Steps


@TASKS.member("study.tasks.forecasting.adding:Adding")
class ForecastingAddingConfig(LengthsConfig):
    """The adding problem: the sum of two marked numbers, asked for at the last step."""

    kind: ClassVar[Kind] = "regression"
    family: ClassVar = "forecasting"
    asks_once: ClassVar[bool] = True
    name: Literal["forecasting_adding"]
    seq_len: Steps

    @classmethod
    def reach(cls, given: Mapping[str, Any]) -> int:
        """From the last step to the nearest first number, T/2 steps."""
        return given["seq_len"] // 2
