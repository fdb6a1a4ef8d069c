"""From a text file to columns of numbers over time: the reader behind own tables, with a note for all it decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from study.data.tables.names import price_column, time_columns
from study.data.tables.numbers import decimal_sign, read_numbers
from study.data.tables.sheet import Sheet, read_sheet
from study.data.tables.times import Times, read_times
from study.errors import ConfigError, nearest

LARGEST = 1e150
"""Of the values of a table: float64 holds the mean of their squares."""


@dataclass(frozen=True)
class TableKeys:
    """How a table is to be read; None: found.

    Attributes:
        date: the column of times, or several that make one together; None: rows are steps in their order.
        targets: columns; None: the price of a known vendor, or the only column of numbers.
        features: further columns.
        separator: of cells.
        decimal: sign.
        date_format: as `strptime` has it.
        frequency: the distance of all rows as pandas writes it; None: any that grows.
        missing: what becomes of a row without a value: `refuse`, `forward` (the value before it), `drop`.
    """

    date: str | Sequence[str] | None = "date"
    targets: Sequence[str] | None = None
    features: Sequence[str] = ()
    separator: str | None = None
    decimal: str | None = None
    date_format: str | None = None
    frequency: str | None = None
    missing: str = "refuse"


class OrderedTable(NamedTuple):
    """A table, read.

    Attributes:
        frame: targets and features as float64 over time, nothing missing, in the order of time.
        dates: names of the columns of times; none: rows are steps.
        targets: names of the columns to predict.
        notes: what had to be decided, in sentences.
    """

    frame: pd.DataFrame
    dates: tuple[str, ...]
    targets: tuple[str, ...]
    notes: tuple[str, ...]


def read_table(path: Path, how: TableKeys) -> OrderedTable:
    """Read the named columns of a table.

    Raises:
        ConfigError: there is a column or a row that cannot be used; with its name, or its line in the file.
    """
    return table_of(read_sheet(path, how.separator), how)


def table_of(sheet: Sheet, how: TableKeys) -> OrderedTable:
    """The same from the cells of the file."""
    refuse_few(sheet)
    dates, notes = time_columns(sheet, how.date)
    sheet, times, said = in_order(sheet, dates, how)
    notes = [*sheet.notes, *notes, *said]
    numeric = [name for name in sheet.names if name not in dates]
    decimal = decimal_sign(sheet, numeric, how.decimal)
    if decimal == ",":
        notes.append(f"{sheet.path.name}: the comma is the decimal sign.")
    targets, why = (tuple(how.targets), []) if how.targets is not None else price_column(sheet, numeric, decimal)
    frame, missed = _numbers(sheet, [*targets, *how.features], decimal, how)
    return OrderedTable(frame.set_index(pd.Index(times)).dropna(), dates, targets, (*notes, *why, *missed))


def refuse_few(sheet: Sheet) -> None:
    """Refuse a table that no task can use."""
    if len(sheet.cells) < 4:
        raise ConfigError(f"{sheet.path}: {len(sheet.cells)} rows under the header leave nothing to split")


def _numbers(sheet: Sheet, names: Sequence[str], decimal: str, how: TableKeys) -> tuple[pd.DataFrame, list[str]]:
    """The named columns; NaN only in rows that are to be left out."""
    columns, notes = {}, list[str]()
    for name in names:
        cells = column(sheet, name)
        values, missing, said = read_numbers(cells, decimal)
        sheet.refuse(cells, ~missing & ~np.isfinite(values), "is not a number")
        sheet.refuse(cells, values.abs() > LARGEST, f"is beyond {LARGEST:g}: the mean of such squares is no number")
        if how.missing == "forward":
            values, missing = values.ffill(), values.ffill().isna()
        if how.missing != "drop":
            sheet.refuse(
                cells, missing, "is missing; task.missing=forward repeats the value before it, where there is one, "
                "and task.missing=drop leaves such rows out",
            )  # fmt: skip
        columns[name], notes = values, [*notes, *said]
    frame = pd.DataFrame(columns)
    if dropped := int(frame.isna().any(axis=1).sum()):
        notes.append(f"{sheet.path.name}: {dropped} of {len(frame)} rows miss a value and are left out.")
    return frame, notes


def column(sheet: Sheet, name: str) -> pd.Series:
    """A column by its name, white space around it left out.

    Raises:
        ConfigError: there is none; with the nearest name.
    """
    names = sheet.names
    if name.strip() not in names:
        raise ConfigError(
            f"{sheet.path}: no column {name!r}{nearest(name, names)} (there: {', '.join(names)}){sheet.why_nameless}"
        )
    return sheet.cells[name.strip()]


def in_order(sheet: Sheet, dates: Sequence[str], how: TableKeys) -> tuple[Sheet, pd.Series, list[str]]:
    """The sheet with its earliest row first, the time of every row, and what was decided.

    Raises:
        ConfigError: the rows are in no order, or not at the distance stated.
    """
    if not dates:
        if how.frequency is not None:
            raise ConfigError(f"task.frequency = {how.frequency!r}: with task.date = null rows have no time")
        return sheet, pd.Series(range(len(sheet.cells)), sheet.cells.index), []
    cells = column(sheet, dates[0])
    for name in dates[1:]:
        cells = (cells.str.strip() + " " + column(sheet, name).str.strip()).rename(" ".join(dates))
    times = read_times(sheet, cells, how.date_format)
    notes = [f"Column {cells.name!r}: {times.said}."] if times.said else []
    if _refuse_disorder(sheet, cells, times.values, dates):
        notes.append(f"{sheet.path.name}: rows run from the latest to the earliest, and are turned round.")
        sheet, cells = sheet._replace(cells=sheet.cells[::-1]), cells[::-1]
        times = Times(times.values[::-1], times.clock[::-1])
    if how.frequency is not None:
        _refuse_gaps(sheet, cells, times, how.frequency)
    return sheet, times.values, notes


def _refuse_disorder(sheet: Sheet, cells: pd.Series, moments: pd.Series, dates: Sequence[str]) -> bool:
    """Refuse rows that come out of order; return whether the latest row comes first."""
    before = moments.shift(1)
    backwards = bool((moments < before).sum() > (moments > before).sum())
    beside = next((name for name in sheet.names if name.lower().strip("<>") == "time" and name not in dates), None)
    hint = f"; if {beside!r} is the time of day: task.date=[{','.join((*dates, beside))}]" if beside else ""
    bad = moments >= before if backwards else moments <= before
    sheet.refuse(cells, bad, f"does not come {'before' if backwards else 'after'} the row before it{hint}")
    return backwards


def _refuse_gaps(sheet: Sheet, cells: pd.Series, times: Times, frequency: str) -> None:
    """Refuse rows that do not come one step of the frequency after the row before them."""
    if not pd.api.types.is_datetime64_any_dtype(times.values):
        raise ConfigError(f"task.frequency = {frequency!r}: column {cells.name!r} has numbers, and no times")
    offset = _offset(frequency)
    hourly = isinstance(offset, pd.offsets.Tick) and not isinstance(offset, pd.offsets.Day)
    dates = times.values if hourly else times.clock
    due = pd.Series(pd.DatetimeIndex(dates) + offset, dates.index).shift(1)
    sheet.refuse(cells, due.notna() & (dates != due), f"is not {frequency!r} after the row before it")


def _offset(frequency: str) -> pd.offsets.BaseOffset:
    try:
        offset = pd.tseries.frequencies.to_offset(frequency)
    except ValueError as error:
        raise ConfigError(f"task.frequency = {frequency!r}: {error} (e.g. 'h', 'D', 'B', '15min')") from error
    assert offset is not None
    return offset
