"""The user's own table: a date column, columns to predict, columns that help."""

import csv
import io
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from study.data import located, read_text
from study.errors import ConfigError, nearest
from study.schema.run import DataConfig
from study.schema.task.forecasting import ForecastingCSVConfig as Config
from study.tasks.forecasting.family import Forecasting, Tables, chronological, look_ahead, share_ends
from study.tasks.forecasting.scaling import Scaling


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
    cells = _cells(path)
    if len(cells) < 4:
        raise ConfigError(f"{path}: {len(cells)} rows under the header leave nothing to split")
    names = [str(name) for name in cells.columns]
    for name in (config.date, *config.targets, *config.features):
        if name.strip() not in names:
            raise ConfigError(f"{path}: no column {name!r}{nearest(name, names)} (there: {', '.join(names)})")
    dates = _dates(path, cells[config.date.strip()], config)
    numbers = {name: _numbers(path, cells[name.strip()], config) for name in (*config.targets, *config.features)}
    return pd.DataFrame(numbers).set_index(dates)


def _cells(path: Path) -> pd.DataFrame:
    """Every cell as text, by the names of the header without the white space around them.

    pandas would rename the second of two equal names, and take the first column for an index where rows are longer
    than the header: both would go unnoticed.
    """
    text = read_text(path)
    names = _all_named([name.strip() for name in next(csv.reader(io.StringIO(text)), [])])
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{path}: the header names {name!r} {names.count(name)} times; give each column a name")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.StringIO(text), header=0, names=names, index_col=False, dtype=str,
                keep_default_na=False, skip_blank_lines=False,
            )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except pd.errors.ParserWarning as error:
        raise ConfigError(f"{path}: its rows have more cells than the header has names ({len(names)})") from error


def _all_named(names: list[str]) -> list[str]:
    """The names, with that of pandas for every column that has none: `Unnamed: 0` for the index of an export."""
    return [name or f"Unnamed: {place}" for place, name in enumerate(names)]


OFFSET = r"(?<=\d) ?(?:Z|[+-]\d{1,2}(?::?\d{2})?)$"
"""A time's distance from UTC, as at the end of 2024-12-31 23:00-05:00, or of 2024-12-31 23:00:00-05 in PostgreSQL."""
TIMED = r"\d[T ]\d"
"""A date followed by a time: without one, -05 is a day."""


def _dates(path: Path, cells: pd.Series, config: Config) -> pd.DatetimeIndex:
    """The moments of all rows; in UTC where they are written with their distance from it, which summer changes."""
    stripped = cells.str.strip()
    written = stripped.where(stripped.str.match(r"\d{4}"))  # pandas reads `now` and `-1` as dates too
    dates = pd.to_datetime(written, errors="coerce", format="ISO8601", utc=True)
    _refuse(
        path, cells, dates.isna(), "is not a date (write 2024-12-31 or 2024-12-31 23:00; no other order is guessed)"
    )
    placed = written.str.contains(f"{TIMED}.*{OFFSET}")
    other = "a UTC offset, the first row has none" if not placed.iloc[0] else "no UTC offset, the first row has one"
    _refuse(path, cells, placed != placed.iloc[0], f"has {other}")
    dates = dates if placed.iloc[0] else dates.dt.tz_localize(None)
    _refuse(path, cells, dates.diff() <= pd.Timedelta(0), "does not come after the row before it")
    if config.frequency is not None:
        # A day is a day by the clock on the wall, and an hour by that in Greenwich: in spring these differ.
        clock = written.where(~placed, written.str.replace(OFFSET, "", regex=True))
        wall = pd.to_datetime(clock, errors="coerce", format="ISO8601")
        offset = _frequency(config)
        hourly = isinstance(offset, pd.offsets.Tick) and not isinstance(offset, pd.offsets.Day)
        late = _is_late(dates if hourly else wall, offset)
        _refuse(path, cells, late, f"is not {config.frequency!r} after the row before it")
    return pd.DatetimeIndex(dates)


def _is_late(dates: pd.Series, frequency: pd.offsets.BaseOffset) -> pd.Series:
    """Whether a row does not come one step of the frequency after the row before it."""
    due = pd.Series(pd.DatetimeIndex(dates) + frequency).shift(1)
    return due.notna() & (dates != due)


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

    @classmethod
    def table(cls, config: Config, source: Path | pd.DataFrame, learnt: Scaling) -> pd.DataFrame:
        """See `Forecasting`; a file or a table with the columns of the training file."""
        if isinstance(source, Path):
            frame = _table(located("data", str(source)), config)
        else:
            by_time = source.set_index(config.date) if config.date in source else source
            frame = super().table(config, by_time, learnt).copy()
        look_ahead(frame, config.targets, config.ahead)
        return frame
