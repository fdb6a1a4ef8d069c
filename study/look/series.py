"""A table of series: its columns, their times, what is missing, and how it is trained on."""

from pathlib import Path
from typing import Any

import pandas as pd

from study.data.tables.names import likely_times, time_columns, vendor
from study.data.tables.numbers import decimal_sign, is_missing, read_numbers
from study.data.tables.sheet import SEPARATORS, Sheet, read_sheet
from study.data.tables.table import TableKeys, in_order, refuse_few, table_of
from study.errors import ConfigError
from study.look.seen import Seen, value, values
from study.schema.defaults import option
from study.schema.task.base import SplitByShares

TASK = "forecasting_csv"
PRICES = ("close", "price", "value", "y", "target")
"""Names, in lower case, of columns that people predict."""


def look(path: Path) -> Seen:
    """What is seen in a table."""
    sheet = read_sheet(path)
    facts: dict[str, Any] = {
        "encoding": sheet.encoding,
        "separator": SEPARATORS.get(sheet.separator, sheet.separator),
        "rows": len(sheet.cells),
    }
    try:
        refuse_few(sheet)
        dates, ordered, times, _ = _times(sheet)
        facts |= _times_seen(dates, times)
        rest = [name for name in sheet.names if name not in dates]
        decimal = decimal_sign(sheet, rest)
        columns = [_column(sheet.cells[name], name, decimal) for name in sheet.names]
        facts |= {"decimal": decimal, "columns": columns}
        reading, more = _reading(ordered, dates, columns)
        table = table_of(sheet, reading)
        return Seen("series", facts, table.notes, "", _overrides(path, reading, len(table.frame)) + more)
    except ConfigError as error:
        facts.setdefault("columns", [{"name": name} for name in sheet.names])
        return Seen("series", facts, sheet.notes, str(error))


def _times(sheet: Sheet) -> tuple[tuple[str, ...], Sheet, pd.Series, list[str]]:
    """The columns of times, the sheet in their order, the times, and notes; times of day are tried beside a date."""
    try:
        dates, _ = time_columns(sheet, "date")
    except ConfigError:
        dates = tuple(likely_times(sheet)[:1])
    clock = [name for name in sheet.names if name.lower().strip("<>") == "time" and name not in dates]
    try:
        return dates, *in_order(sheet, dates, TableKeys())
    except ConfigError:
        if not (dates and clock):
            raise
        both = (*dates, clock[0])
        return both, *in_order(sheet, both, TableKeys())


def _times_seen(dates: tuple[str, ...], times: pd.Series) -> dict[str, Any]:
    if not dates:
        return {"times": "none: rows are steps in their order (task.date=null)"}
    steps = times.diff().dropna()
    usual = steps.mode().iloc[0] if len(steps) else None
    return {
        "times": " and ".join(dates),
        "first": str(times.iloc[0]),
        "last": str(times.iloc[-1]),
        "step": str(usual),
        "other steps": f"{int((steps != usual).sum())} of {len(steps)}, the longest {steps.max()}"
        if len(steps)
        else "0",
    }


def _column(cells: pd.Series, name: str, decimal: str) -> dict[str, Any]:
    """Name, type, range and missing values of a column."""
    missing = is_missing(cells)
    seen: dict[str, Any] = {"name": name, "type": "text", "missing": int(missing.sum())}
    if missing.all():
        return seen | {"type": "empty"}
    numbers = read_numbers(cells, decimal).values.dropna()
    if len(numbers) == (~missing).sum():
        return seen | {"type": "number", "least": float(numbers.min()), "most": float(numbers.max())}
    return seen | {"least": cells[~missing].iloc[0], "most": cells[~missing].iloc[-1]}


def _reading(sheet: Sheet, dates: tuple[str, ...], columns: list[dict[str, Any]]) -> tuple[TableKeys, list[str]]:
    """How the table may be read, and the overrides for what its defaults refuse.

    Raises:
        ConfigError: no column holds numbers, or has a name.
    """
    numeric = [column["name"] for column in columns if column["type"] == "number" and column["name"] not in dates]
    if not numeric:
        raise ConfigError(f"{sheet.path}: no column holds numbers")
    if sheet.headless:
        raise ConfigError(f"{sheet.path}: no column can be named{sheet.why_nameless}")
    known = vendor(sheet.names)
    wanted = (known.price,) if known else PRICES
    target = next((name for name in numeric if name.lower() in wanted), numeric[0])
    missing = is_missing(sheet.cells[target])
    how = "refuse" if not missing.any() else "drop" if missing.iloc[0] else "forward"
    date = dates[0] if len(dates) == 1 else list(dates) or None
    return TableKeys(date=date, targets=[target], missing=how), [f"task.missing={how}"] if missing.any() else []


def _overrides(path: Path, how: TableKeys, rows: int) -> list[str]:
    """What to type for a table of so many rows.

    Raises:
        ConfigError: they are too few to be split.
    """
    date = "null" if how.date is None else value(how.date) if isinstance(how.date, str) else values(how.date)
    typed = [
        f"task={TASK}",
        f"task.path={value(str(path))}",
        f"task.date={date}",
        f"task.targets={values(how.targets or [])}",
    ]
    keys = option("task", TASK)
    first, last = SplitByShares(validation=keys["validation"], test=keys["test"]).ends(rows)
    training = first - max(keys["ahead"])
    if training < 4 or min(last - first, rows - last) < 2 + max(keys["ahead"]):
        raise ConfigError(f"{path}: {rows} rows are too few to be split into training, validation and test")
    return typed + ([f"task.seq_len={training // 2}"] if training < keys["seq_len"] else [])
