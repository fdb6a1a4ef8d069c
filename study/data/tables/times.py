"""Times as people write them: ISO 8601, 31/12/2013 or 12/31/2013, Jan 05 2020, 2013Q1, seconds since 1970, row numbers.

No order of day and month is guessed. Of all orders that read every row, the one by which rows are in order is taken;
if several are left, the user is asked.
"""

import re
from collections.abc import Sequence
from itertools import product
from typing import Literal, NamedTuple

import pandas as pd

from study.data.tables.sheet import Sheet, blockwise
from study.errors import ConfigError

_DISTANCE = r" ?(?:Z|[+-]\d{1,2}(?::?\d{2})?)$"
OFFSET = rf"(?<=\d){_DISTANCE}"
"""A time's distance from UTC, as at the end of 2024-12-31 23:00-05:00, or of 2024-12-31 23:00:00-05 in PostgreSQL."""
PLACED = rf"\d[T ]\d(?:.*\d)?{_DISTANCE}"
"""A date followed by a time, which such a distance may follow: without one, -05 is a day."""
QUARTER = re.compile(r"(\d{4})[- ]?Q([1-4])")
EPOCHS: dict[int, Literal["s", "ms", "us", "ns"]] = {10: "s", 13: "ms", 16: "us", 19: "ns"}
"""Units of the time since 1970, by the digits that it has since 2001."""
ZONE = r"(?: ?(?:Z|[+-]\d{2}:?\d{2}))?"
WRITE = "write 2024-12-31 or 2024-12-31 23:00, or give its form: task.date_format=%d/%m/%Y; no other order is guessed"
DATES = (
    (r"\d{1,2}([/.-])\d{1,2}([/.-])\d{4}", ("%d{0}%m{1}%Y", "%m{0}%d{1}%Y")),
    (r"\d{1,2}([/.-])\d{1,2}([/.-])\d{2}", ("%d{0}%m{1}%y", "%m{0}%d{1}%y", "%y{0}%m{1}%d")),
    (r"\d{4}([/.-])\d{1,2}([/.-])\d{1,2}", ("%Y{0}%m{1}%d",)),
    (r"\d{1,2}([ /.-])[^\W\d_]+([ /.-])\d{4}", ("%d{0}%b{1}%Y", "%d{0}%B{1}%Y")),
    (r"\d{1,2}([ /.-])[^\W\d_]+([ /.-])\d{2}", ("%d{0}%b{1}%y", "%d{0}%B{1}%y")),
    (r"[^\W\d_]+( )\d{1,2}(, |,| )\d{4}", ("%b{0}%d{1}%Y", "%B{0}%d{1}%Y")),
    (r"[^\W\d_]+([ /.-])\d{4}", ("%b{0}%Y", "%B{0}%Y")),
    (r"\d{4}([ /.-]?M?)\d{2}", ("%Y{0}%m",)),
    (r"\d{1,2}([/.])\d{4}", ("%m{0}%Y",)),
)
"""How dates are written, and as what they may be read."""
CLOCKS = (
    (r"", ("",)),
    (r"(T| +)\d{1,2}([:.])\d{2}", ("{0}%H{1}%M",)),
    (r"(T| +)\d{1,2}([:.])\d{2}[:.]\d{2}", ("{0}%H{1}%M{1}%S",)),
    (r"(T| +)\d{1,2}([:.])\d{2}[:.]\d{2}\.\d+", ("{0}%H{1}%M{1}%S.%f",)),
    (r"( +)\d{1,2}(:)\d{2}( ?)[AaPp][Mm]", ("{0}%I{1}%M{2}%p",)),
    (r"( +)\d{1,2}(:)\d{2}:\d{2}( ?)[AaPp][Mm]", ("{0}%I{1}%M{1}%S{2}%p",)),
)
"""The same for the time of day behind a date; it may be followed by a distance from UTC."""


class Times(NamedTuple):
    """The times of all rows.

    Attributes:
        values: moments, in UTC where they are written with their distance from it; or numbers.
        clock: the same as the clock on the wall shows it.
        said: how they were read, in a sentence; empty for ISO 8601.
    """

    values: pd.Series
    clock: pd.Series
    said: str = ""


def read_times(sheet: Sheet, cells: pd.Series, form: str | None = None) -> Times:
    """Read a column of times.

    Args:
        sheet: that it is of, for refusals.
        cells: texts.
        form: as `strptime` has it, such as %d/%m/%Y; None: found.

    Raises:
        ConfigError: a cell is no time, or all may be read in several ways.
    """
    if form is not None:
        return _formatted(sheet, cells, form, "")
    stripped = cells.str.strip()
    iso = blockwise(_iso, stripped)
    if iso.notna().all():
        return _in_iso(sheet, cells, stripped, iso)
    if stripped.str.fullmatch(r"[-+]?\d+(?:\.\d+)?").all():
        return _numbered(stripped)
    forms = _forms(stripped) if iso.notna().mean() < 0.5 else []
    if forms:
        return _formatted(sheet, cells, *_chosen(sheet, cells, forms))
    if len(quarters := stripped[stripped.str.fullmatch(QUARTER.pattern)]) == len(cells):
        starts = [f"{m[1]}-{3 * int(m[2]) - 2:02}-01" for m in map(QUARTER.fullmatch, quarters) if m]
        moments = pd.Series(pd.to_datetime(starts), cells.index)
        return Times(moments, moments, "quarters are read as their first days")
    return _in_iso(sheet, cells, stripped, iso)


def _iso(stripped: pd.Series) -> pd.Series:
    """Moments in UTC; NaT where a text is none. pandas reads `now` and `-1` as dates too."""
    return pd.to_datetime(stripped.where(stripped.str.match(r"\d{4}")), errors="coerce", format="ISO8601", utc=True)


def _in_iso(sheet: Sheet, cells: pd.Series, stripped: pd.Series, dates: pd.Series) -> Times:
    """Moments; in UTC where they are written with their distance from it, which summer changes."""
    sheet.refuse(cells, dates.isna(), f"is not a date ({WRITE})")
    placed = stripped.str.contains(PLACED)
    other = "a UTC offset, the first row has none" if not placed.iloc[0] else "no UTC offset, the first row has one"
    sheet.refuse(cells, placed != placed.iloc[0], f"has {other}")
    if not placed.iloc[0]:
        moments = dates.dt.tz_localize(None)
        return Times(moments, moments)
    # A day is a day by the clock on the wall, and an hour by that in Greenwich: in spring these differ.
    return Times(dates, blockwise(_clock, stripped))


def _clock(stripped: pd.Series) -> pd.Series:
    """What the clock on the wall shows, of moments written with their distance from UTC."""
    return pd.to_datetime(stripped.str.replace(OFFSET, "", regex=True), errors="coerce", format="ISO8601")


def _numbered(stripped: pd.Series) -> Times:
    """Months such as 202401, seconds since 1970 and their parts, or any other numbers."""
    lengths = set(stripped.str.len())
    months = pd.to_datetime(stripped, errors="coerce", format="%Y%m")
    if lengths == {6} and months.notna().all():
        return Times(months, months, "numbers are read as year and month (%Y%m)")
    values = pd.to_numeric(stripped)
    unit = EPOCHS.get(lengths.pop()) if len(lengths) == 1 else None
    if unit is not None and pd.api.types.is_integer_dtype(values):
        moments = pd.to_datetime(values, unit=unit)
        return Times(moments, moments, f"numbers are read as the time since 1970 in {unit}")
    return Times(values, values, "numbers are taken for the places of rows in time")


def _forms(stripped: pd.Series) -> list[str]:
    """All forms that the first cell may have which has one."""
    for cell in stripped.iloc[:10]:
        for (date, dates), (clock, clocks) in product(DATES, CLOCKS):
            match = re.fullmatch(f"(?P<date>{date})(?P<clock>{clock})(?P<offset>{ZONE})", cell)
            if match:
                signs, behind = re.fullmatch(date, match["date"]), re.fullmatch(clock, match["clock"])
                assert signs
                assert behind
                zone = "%z" if match["offset"] else ""
                return [
                    form.format(*signs.groups()) + time.format(*behind.groups()) + zone
                    for form, time in product(dates, clocks)
                ]
    return []


def _chosen(sheet: Sheet, cells: pd.Series, forms: Sequence[str]) -> tuple[str, str]:
    """The form in which the rows are written, and why no other.

    Raises:
        ConfigError: they may be written in several.
    """
    stripped = cells.str.strip()
    readings = {form: _parsed(stripped, form) for form in forms}
    most = max(reading.notna().sum() for reading in readings.values())
    best = {form: reading for form, reading in readings.items() if reading.notna().sum() == most}
    different = {
        form: r for i, (form, r) in enumerate(best.items()) if not any(r.equals(o) for o in [*best.values()][:i])
    }
    if len(different) == 1 or most < len(cells):
        form = next(iter(different))
        others = [reading for other, reading in readings.items() if other not in best]
        odd = cells[others[0].isna()] if others else cells[:0]
        return form, f": {odd.iloc[0]!r} in line {odd.index[0]} decides it" if len(odd) else ""
    ordered = [form for form, r in different.items() if r.is_monotonic_increasing or r.is_monotonic_decreasing]
    ordered = [form for form in ordered if different[form].is_unique]
    if len(ordered) == 1:
        return ordered[0], ": only so are the rows in order"
    line, cell = cells.index[0], cells.iloc[0]
    keys = " or ".join(f"task.date_format={quoted(form)}" for form in ordered or different)
    raise ConfigError(
        f"{sheet.path}, column {cells.name!r}, line {line}: {cell!r} may be read in several orders, and no row decides "
        f"which; choose: {keys}"
    )


def quoted(form: str) -> str:
    """A form as it is typed: with blanks in quotes."""
    return f"'\"{form}\"'" if " " in form or "," in form else form


def _parsed(stripped: pd.Series, form: str) -> pd.Series:
    return blockwise(lambda some: pd.to_datetime(some, errors="coerce", format=form, utc="%z" in form), stripped)


def _formatted(sheet: Sheet, cells: pd.Series, form: str, why: str) -> Times:
    """Moments of a known form."""
    stripped = cells.str.strip()
    try:
        values = _parsed(stripped, form)
    except ValueError as error:
        raise ConfigError(f"task.date_format = {form!r}: {error} (e.g. %d/%m/%Y or %Y-%m-%d %H:%M)") from error
    sheet.refuse(cells, values.isna(), f"is not a date as {form}")
    clock = _parsed(stripped.str.replace(OFFSET, "", regex=True), form.replace("%z", "")) if "%z" in form else values
    return Times(values, clock, f"dates are read as {form}{why}")
