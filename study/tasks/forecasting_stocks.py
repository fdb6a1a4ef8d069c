"""Daily stock prices: at every day, predict the return or the volatility of the `ahead` days to come."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from study.errors import ConfigError
from study.models import Inputs
from study.schema import task as schema
from study.schema.run import Data
from study.tasks.batches import Whole, Windows
from study.tasks.carriers import carried
from study.tasks.contract import Batch, Batches, Split, Task
from study.tasks.measures import ForecastMeasures

FEATURES = ("log_return", "log_volatility")


class ForecastingStocks(Task):
    """Inputs a day: the log-return of "Adj Close" and the log-volatility of the last `ahead` days.

    log_return: log price(t + ahead) - log price(t). log_volatility: log of the root mean square daily return over
    the days t+1..t+ahead. Inputs and targets are standardised by the training part. Splits are by date; a target
    never looks beyond its own split. Persistence: the price stays (return 0), or the volatility of the last
    `ahead` days stays.
    """

    inputs = Inputs(len(FEATURES), tokens=False)
    targets = 1
    primary = "rmse"
    direction: Literal["minimize"] = "minimize"

    def __init__(self, config: schema.ForecastingStocks, data: Data, seed: int):
        self._config, self._seed = config, seed
        frames = {ticker: _table(_prices(carried(data, _FILE)), ticker, config) for ticker in config.tickers}
        ends = _ends(frames, config)
        training = pd.concat(_split(frame, ends, "train", config.ahead) for frame in frames.values())
        self._mean, self._std = training.mean(), training.std()
        self._series = {
            split: [self._tensors(_split(frame, ends, split, config.ahead)) for frame in frames.values()]
            for split in ("train", "val", "test")
        }
        self._check_lengths()

    def _tensors(self, frame: pd.DataFrame) -> tuple[Tensor, Tensor]:
        scaled = torch.from_numpy(((frame - self._mean) / self._std).to_numpy(np.float32, copy=True))
        return scaled[:, : len(FEATURES)], scaled[:, len(FEATURES) :]

    def _check_lengths(self) -> None:
        needs: dict[Split, int] = {"train": self._config.seq_len, "val": 2, "test": 2}
        for split, steps in needs.items():
            for ticker, (inputs, _) in zip(self._config.tickers, self._series[split], strict=True):
                if len(inputs) < steps:
                    raise ConfigError(
                        f"task.tickers: {ticker} has {len(inputs)} days in the {split} part, {steps} are needed "
                        f"(task.seq_len = {self._config.seq_len}, task.ahead = {self._config.ahead})"
                    )

    def batches(self, split: Split) -> Batches:
        """Training: windows of `seq_len` days of every ticker; else every ticker from first to last day."""
        if split == "train":
            return Windows(self._series[split], self._config.seq_len, self._config.batch_size, self._seed)
        return Whole(self._series[split])

    def measures(self) -> ForecastMeasures:
        """RMSE and MAE in log-returns or log-volatility."""
        return ForecastMeasures(float(self._std["target"]), self.naive)

    def naive(self, batch: Batch) -> Tensor:
        """Persistence, in units of the standardised target."""
        mean, std = self._mean, self._std
        if self._config.target == "log_return":
            return torch.full_like(batch.targets, -mean["target"] / std["target"])
        last = batch.inputs[..., 1:] * std["log_volatility"] + mean["log_volatility"]
        return (last - mean["target"]) / std["target"]


_FILE = "bokeh_sampledata/_data/stocks.csv.gz"
_FLOOR = 1e-4  # one basis point: the log of a volatility of no price change at all must stay finite


@lru_cache
def _prices(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, usecols=["Ticker", "Date", "Adj Close"], parse_dates=["Date"])


def _table(prices: pd.DataFrame, ticker: str, config: schema.ForecastingStocks) -> pd.DataFrame:
    """Features and target by date, days without full history or future left out."""
    price = prices[prices["Ticker"] == ticker].set_index("Date")["Adj Close"].sort_index()
    log_price = pd.Series(np.log(price.to_numpy()), index=price.index)
    returns = log_price.diff()
    volatility = np.log(np.sqrt((returns**2).rolling(config.ahead).mean()).clip(lower=_FLOOR))
    future = {
        "log_return": log_price.shift(-config.ahead) - log_price,
        "log_volatility": volatility.shift(-config.ahead),
    }
    return pd.DataFrame({"log_return": returns, "log_volatility": volatility, "target": future[config.target]}).dropna()


def _ends(frames: dict[str, pd.DataFrame], config: schema.ForecastingStocks) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The first day of validation and the first day of test, for all tickers alike."""
    days = sorted(set().union(*(frame.index for frame in frames.values())))
    return days[int(len(days) * (1 - config.validation - config.test))], days[int(len(days) * (1 - config.test))]


def _split(frame: pd.DataFrame, ends: tuple[pd.Timestamp, pd.Timestamp], split: str, ahead: int) -> pd.DataFrame:
    """The days of one split; the last `ahead` days of train and val are left out: their targets lie beyond."""
    if split == "train":
        return frame[frame.index < ends[0]].iloc[:-ahead]
    if split == "val":
        return frame[(frame.index >= ends[0]) & (frame.index < ends[1])].iloc[:-ahead]
    return frame[frame.index >= ends[1]]
