"""ETTh1 (Zhou et al. 2021, Informer, arXiv 2012.07436): a transformer's oil temperature and loads, hourly."""

import pandas as pd

from study.data import Download, fetched
from study.schema.run import DataConfig
from study.schema.task.forecasting import ForecastingETTh1Config as Config
from study.tasks.forecasting.family import Forecasting, Tables, chronological, look_ahead

FILE = Download(
    "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small/ETTh1.csv",
    "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    "ETTh1.csv",
)
MONTH = 30 * 24
"""Hours, as the published split counts them."""


def load_etth1(config: Config, data: DataConfig) -> Tables:
    """The published split: 12 months, 4 months, 4 months; the rest is not used.

    Departures: published forecasts read up to `seq_len` hours before their part, here a part starts from a zero
    state; and targets are the single hours named, not all hours up to the last.
    """
    frame = pd.read_csv(fetched(data, FILE), index_col="date", parse_dates=True).iloc[: 20 * MONTH].copy()
    ends = frame.index[12 * MONTH], frame.index[16 * MONTH]
    targets = look_ahead(frame, config.targets, config.ahead)
    return Tables({"ETTh1": chronological(frame, ends, max(config.ahead))}, targets, FILE.url)


class ETTh1(Forecasting):
    """ETTh1."""

    load = staticmethod(load_etth1)
