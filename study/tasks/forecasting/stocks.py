"""Daily stock prices, 2000-2013: at every day, the volatility, the return or the price of the `ahead` days to come."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from study.data import carried
from study.errors import ConfigError
from study.schema.run import DataConfig
from study.schema.task.forecasting import ForecastingStocksConfig as Config
from study.tasks.forecasting.family import Forecasting, Tables, chronological, share_ends
from study.tasks.forecasting.scaling import Target

FILE = "bokeh_sampledata/_data/stocks.csv.gz"
FLOOR = 1e-4
"""One basis point: the log of the volatility of a price that did not change must stay finite."""


def load_stocks(config: Config, data: DataConfig) -> Tables:
    """Features a day and ticker: the log-return of "Adj Close", and the log-volatility of the last `ahead` days.

    log_return: log price(t + ahead) - log price(t). log_volatility: log of the root mean square daily return over
    the days t+1..t+ahead. price: price(t + ahead) in dollars, predicted as its change since t, so that prices which
    leave the range of the training part do not have to be learnt; the error of the change is that of the price, and
    the price of the day enters too. Splits are by date, the same for all tickers. Persistence: the price stays, or the
    volatility of the last `ahead` days stays.
    """
    prices = _prices(carried(data, FILE))
    frames: dict[str, pd.DataFrame] = {
        ticker: _table(prices[prices["Ticker"] == ticker], config) for ticker in config.tickers
    }
    targets = {"target": _target(config)}
    if config.multivariate:
        frames, targets = _side_by_side(frames, targets["target"])
    days = pd.Index(sorted(set().union(*(frame.index for frame in frames.values()))))
    if len(days) == 0:
        raise ConfigError(f"task.tickers = {config.tickers}: there is no day on which all of them have a price")
    ends = share_ends(days, config)
    series = {ticker: chronological(frame, ends, config.ahead) for ticker, frame in frames.items()}
    return Tables(series, targets, f"bokeh-sampledata: {FILE}")


def _target(config: Config) -> Target:
    if config.target == "price":
        return Target(config.ahead, None, "price")
    if config.target == "log_return":
        return Target(config.ahead, None, "target")
    return Target(config.ahead, "log_volatility", "target", "log_return")


@lru_cache
def _prices(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, usecols=["Ticker", "Date", "Adj Close"], parse_dates=["Date"])


def _table(prices: pd.DataFrame, config: Config) -> pd.DataFrame:
    """Features and target by date, days without full history or future left out."""
    price = prices.set_index("Date")["Adj Close"].sort_index()
    log_price = pd.Series(np.log(price.to_numpy()), index=price.index)
    returns = log_price.diff()
    volatility = np.log(np.sqrt((returns**2).rolling(config.ahead).mean()).clip(lower=FLOOR))
    future = {
        "log_return": log_price.shift(-config.ahead) - log_price,
        "log_volatility": volatility.shift(-config.ahead),
        "price": price.shift(-config.ahead) - price,
    }
    columns = {"log_return": returns, "log_volatility": volatility, "target": future[config.target]}
    if config.target == "price":
        columns["price"] = price
    return pd.DataFrame(columns).dropna()


def _side_by_side(frames: dict[str, pd.DataFrame], target: Target) -> tuple[dict[str, pd.DataFrame], dict[str, Target]]:
    """One series of all tickers, on the days that all of them have; every column named by its ticker."""
    joined = pd.concat([frame.add_prefix(f"{ticker} ") for ticker, frame in frames.items()], axis=1, join="inner")
    targets = {}
    for ticker in frames:
        persists, returns = (None if name is None else f"{ticker} {name}" for name in (target.persists, target.returns))
        targets[f"{ticker} target"] = Target(target.ahead, persists, f"{ticker} {target.series}", returns)
    return {", ".join(frames): joined}, targets


class Stocks(Forecasting):
    """Daily stock prices."""

    load = staticmethod(load_stocks)

    def __init__(self, config: Config, data: DataConfig, seed: int):
        super().__init__(config, data, seed)
        others = {"log_volatility": ["har", "nlinear"], "price": ["nlinear"], "log_return": []}[config.target]
        self.opponents = ("mean", "persistence", "autoregression", *others)
        self.one_unit = config.target == "price"
