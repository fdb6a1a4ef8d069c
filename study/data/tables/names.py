"""Which column holds the times, and which is to be predicted, where the user does not say so: by the header."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from study.data.tables.numbers import NUMBER, is_missing, read_numbers
from study.data.tables.sheet import Sheet
from study.errors import ConfigError, nearest

USUAL = "date"
"""The column of times that `conf/` names: where there is none of this name, one of `TIMES` is taken."""
TIMES = (
    "date", "datetime", "date time", "timestamp", "time", "observation_date", "open time", "time_period", "period",
    "month", "day", "year", "week", "quarter", "t", "ds", "datum", "fecha", "data",
)  # fmt: skip
"""Names of columns of times, in lower case, those first that say most."""


class Vendor(NamedTuple):
    """The files of a vendor: its name, what their header holds (lower case), and the column that is the price."""

    name: str
    header: frozenset[str]
    price: str


VENDORS = tuple(
    Vendor(name, frozenset(header.split("|")), price)
    for name, header, price in (
        ("Nasdaq", "date|close/last|volume|open|high|low", "close/last"),
        ("investing.com", "date|price|open|high|low|vol.|change %", "price"),
        ("investing.com", "date|price|open|high|low|change %", "price"),
        ("Stooq", "<ticker>|<per>|<date>|<time>|<open>|<high>|<low>|<close>|<vol>", "<close>"),
        ("MetaTrader", "<date>|<open>|<high>|<low>|<close>", "<close>"),
        ("yfinance", "date|open|high|low|close|volume|dividends|stock splits", "close"),
        ("Yahoo Finance", "date|open|high|low|close|adj close|volume", "close"),
        ("Alpha Vantage", "timestamp|open|high|low|close|volume", "close"),
        ("Yahoo Finance", "date|open|high|low|close*|adj close**|volume", "close*"),
        ("Stooq or yfinance", "date|open|high|low|close", "close"),
        ("yfinance", "datetime|open|high|low|close|volume", "close"),
    )
)
"""Known headers; the first that a file holds whole is taken for its vendor's."""


def vendor(names: Sequence[str]) -> Vendor | None:
    """The vendor whose header the columns of a file hold."""
    there = {name.lower() for name in names}
    return next((known for known in VENDORS if known.header <= there), None)


def time_columns(sheet: Sheet, asked: str | Sequence[str] | None) -> tuple[tuple[str, ...], list[str]]:
    """The names of the columns of times, and what was decided.

    Args:
        sheet: the table.
        asked: the key `task.date`.

    Raises:
        ConfigError: there is none, or several may be it.
    """
    names = sheet.names
    if asked is None:
        return (), []
    if not isinstance(asked, str):
        return tuple(name.strip() for name in asked), []
    alike = [name for name in names if name.lower() == asked.strip().lower()]
    if asked.strip() in names:
        return (asked.strip(),), []
    if len(alike) == 1:
        return (alike[0],), [f"Column {alike[0]!r} holds the times."]
    found = likely_times(sheet) if asked == USUAL else []
    if len(found) == 1:
        return (found[0],), [f"There is no column {asked!r}; column {found[0]!r} holds the times."]
    several = f"; may be task.date={' or '.join(found)}" if found else ""
    raise ConfigError(
        f"{sheet.path}: no column {asked!r}{several or nearest(asked, names)} (there: {', '.join(names)}; "
        f"task.date=null: rows are steps in their order){sheet.why_nameless}"
    )


def likely_times(sheet: Sheet) -> list[str]:
    """Columns that hold times by their name, or the first one where it has none; of several the likeliest."""
    plain = {name: name.lower().strip("<>#% ") for name in sheet.names}
    for known in TIMES:
        if found := [name for name, said in plain.items() if said == known]:
            return found
    first = str(sheet.cells.columns[0])
    cells = sheet.cells[first].iloc[:20].str.strip()
    return [first] if first.startswith("Unnamed: ") and cells.str.contains(r"\d\D+\d|^\d{8}$").all() else []


def number_columns(sheet: Sheet, names: Sequence[str], decimal: str) -> list[str]:
    """Those of some columns that hold numbers, and some at all."""
    return [name for name in names if _holds_numbers(sheet.cells[name], decimal)]


def _holds_numbers(cells: pd.Series, decimal: str) -> bool:
    some = cells[~is_missing(cells)].str.strip()
    if some.empty or not NUMBER[decimal].fullmatch(some.iloc[0]):
        return False
    return bool(np.isfinite(read_numbers(some, decimal).values).all())


def price_column(sheet: Sheet, names: Sequence[str], decimal: str) -> tuple[tuple[str, ...], list[str]]:
    """The column to predict where none is named, and what was decided.

    Raises:
        ConfigError: the header is no vendor's, and there is not exactly one column of numbers; or it looks like data.
    """
    known = vendor(sheet.names)
    if known is not None:
        price, *others = (name for name in names if name.lower() == known.price)
        if others:
            raise ConfigError(f"{sheet.path}: task.targets must name one of the columns {', '.join((price, *others))}")
        return (price,), [f"A header as {known.name} has it: column {price!r} is predicted (task.targets)."]
    if sheet.headless:
        raise ConfigError(f"{sheet.path}: task.targets must name the columns to predict{sheet.why_nameless}")
    numeric = number_columns(sheet, names, decimal)
    if len(numeric) == 1:
        return (numeric[0],), [f"Column {numeric[0]!r} is predicted, the only one that holds numbers."]
    there = f"columns of numbers: {', '.join(numeric)}" if numeric else f"no column holds numbers: {', '.join(names)}"
    raise ConfigError(f"{sheet.path}: task.targets must name the columns to predict ({there})")
