"""The user's own table: a date column, columns to predict, columns that help."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from study.data import located, read_text
from study.errors import ConfigError, nearest
from study.schema.run import DataConfig
from study.schema.task.forecasting import ForecastingCSVConfig as Config
from study.tasks.forecasting.family import Forecasting, Tables, chronological, look_ahead, share_ends


def load_csv(config: Config, data: DataConfig) -> Tables:
    """Rows in the order of their dates, split by shares; a value is forecast by itself and by the other columns."""
    path = located("task.path", config.path)
    frame = _table(path, config)
    ends = share_ends(frame.index, config)
    targets = look_ahead(frame, config.targets, config.ahead)
    return Tables({path.name: chronological(frame, ends, max(config.ahead))}, targets, str(path))


def _table(path: Path, config: Config) -> pd.DataFrame:
    """The named columns as numbers, by date, nothing missing.

    Raises:
        ConfigError: there is a column or a row that cannot be used; with its name, or its line in the file.
    """
    try:
        cells = pd.read_csv(io.StringIO(read_text(path)), dtype=str, keep_default_na=False, skip_blank_lines=False)
    except pd.errors.ParserError as error:
        raise ConfigError(f"{path}: {error}") from error
    if len(cells) < 4:
        raise ConfigError(f"{path}: {len(cells)} rows under the header leave nothing to split")
    names = [str(name) for name in cells.columns]
    for name in (config.date, *config.targets, *config.features):
        if name not in names:
            raise ConfigError(f"{path}: no column {name!r}{nearest(name, names)} (there: {', '.join(names)})")
    dates = _dates(path, cells[config.date], config)
    numbers = {name: _numbers(path, cells[name], config) for name in (*config.targets, *config.features)}
    return pd.DataFrame(numbers).set_index(dates)


def _dates(path: Path, cells: pd.Series, config: Config) -> pd.DatetimeIndex:
    dates = pd.to_datetime(cells, errors="coerce", format="ISO8601")
    _refuse(path, cells, dates.isna(), "is not a date (write 2024-12-31 or 2024-12-31 23:00)")
    _refuse(path, cells, dates.diff() <= pd.Timedelta(0), "does not come after the row before it")
    if config.frequency is not None:
        due = pd.Series(pd.DatetimeIndex(dates) + _frequency(config)).shift(1)
        _refuse(path, cells, due.notna() & (dates != due), f"is not {config.frequency!r} after the row before it")
    return pd.DatetimeIndex(dates)


def _frequency(config: Config) -> pd.offsets.BaseOffset:
    try:
        offset = pd.tseries.frequencies.to_offset(config.frequency)
    except ValueError as error:
        raise ConfigError(f"task.frequency = {config.frequency!r}: {error} (e.g. 'h', 'D', 'B', '15min')") from error
    assert offset is not None
    return offset


def _numbers(path: Path, cells: pd.Series, config: Config) -> pd.Series:
    missing = cells.str.strip().str.lower().isin(["", "na", "nan", "null"])
    numbers = pd.to_numeric(cells.where(~missing), errors="coerce").astype(float)
    _refuse(path, cells, ~missing & ~np.isfinite(numbers), "is not a number")
    if config.missing == "forward":
        numbers, missing = numbers.ffill(), numbers.ffill().isna()
    _refuse(path, cells, missing, "is missing; task.missing=forward repeats the value before it, where there is one")
    return numbers


def _refuse(path: Path, cells: pd.Series, bad: pd.Series, why: str) -> None:
    """Name the first bad cells of a column by their lines in the file, of which the header is 1."""
    if bad.any():
        lines = [f"line {i + 2}: {cells.iloc[i]!r}" for i in np.flatnonzero(bad)[:3]]
        more = f" and {bad.sum() - 3} more" if bad.sum() > 3 else ""
        raise ConfigError(f"{path}, column {cells.name!r}, {', '.join(lines)}{more}: {why}")


class CSV(Forecasting):
    """The user's own table."""

    load = staticmethod(load_csv)
