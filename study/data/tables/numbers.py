"""Numbers as people write them: 1.234,56, 1 234.56, $12.30, 1.5K, 3%, (4.2)."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from study.data.tables.sheet import Sheet, blockwise
from study.errors import ConfigError

MISSING = frozenset((
    "", "na", "n/a", "n.a.", "nan", "-nan", "null", "none", "nil", "<na>", "#na", "#n/a", "#n/a n/a", ".", "..", "-",
    "--", "---", "?", "\N{EN DASH}", "\N{EM DASH}",
))  # fmt: skip
"""Texts in lower case that stand for a missing value."""
BLANKS = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}'\N{RIGHT SINGLE QUOTATION MARK}"
"""Signs that stand between thousands and are never a decimal sign."""
FACTORS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
"""Of the letters behind a volume: 1.5K."""
KEYS = "task.decimal=. or task.decimal=\"','\""


def _pattern(decimal: str, other: str) -> re.Pattern[str]:
    """A number with one decimal sign; the other sign, or a blank, may stand between thousands."""
    grouped = rf"[1-9]\d{{0,2}}(?P<group>[{other}{BLANKS}])(?:\d{{2,3}}(?P=group))*\d{{3}}"
    digits = rf"(?:{grouped}|\d+)(?:[{decimal}]\d*)?|[{decimal}]\d+"
    return re.compile(
        rf"(?P<open>\(?)\s*(?P<sign>[-+\N{{MINUS SIGN}}]?)\s*(?P<money>[$€£¥]?)\s*(?P<inner>[-\N{{MINUS SIGN}}]?)"
        rf"(?P<digits>{digits})(?P<exponent>(?:[eE][-+]?\d+)?)\s*(?P<unit>[^\s\d.,()][^\d()]*)?\)?"
    )


NUMBER = {".": _pattern(".", ","), ",": _pattern(",", ".")}
"""A number by its decimal sign."""
OPEN = re.compile(r"[-+]?[1-9]\d{0,2}\.\d{3}")
"""A number that may have three decimals as well as thousands."""


class Numbers(NamedTuple):
    """A column, read.

    Attributes:
        values: float64, NaN where there is none.
        missing: where a cell stands for a missing value; elsewhere NaN is no number.
        notes: what had to be decided, in sentences.
    """

    values: pd.Series
    missing: pd.Series
    notes: tuple[str, ...]


class Written(NamedTuple):
    """A number as it was written: its value with the letter of a volume applied, its unit, and what stood around it."""

    value: float
    unit: str
    money: str
    bracketed: bool


def is_missing(cells: pd.Series) -> pd.Series:
    """Where cells stand for missing values."""
    return blockwise(lambda some: some.str.strip().str.lower().isin(MISSING), cells)


def decimal_sign(sheet: Sheet, columns: Sequence[str], given: str | None = None) -> str:
    """The decimal sign of a table: the given one, or what its cells prove; a point where no number has a comma.

    1,5 proves a comma, 1,234.5 a point, and 1.234.567 that a point stands between thousands. 1,234 alone may be either;
    so may 1.234, but only beside 999, or in cells between semicolons, is it likely to be a thousand.

    Raises:
        ConfigError: its cells prove both, or neither and there are commas, or points that may be no decimal signs.
    """
    if given is not None:
        return given
    if not any(sheet.cells[name].str.contains(r",|\..*\.").any() for name in columns):
        _refuse_open(sheet, columns)
        return "."  # most files: nothing but a point is there
    proofs: dict[str, str] = {}
    for name in columns:
        for place, cell in _with_signs(sheet.cells[name]):
            signs = [sign for sign, pattern in NUMBER.items() if pattern.fullmatch(cell)]
            proofs.setdefault("".join(signs), f"column {name!r}, line {place}: {cell!r}")
    if "." in proofs and "," in proofs:
        raise ConfigError(
            f"{sheet.path}: the decimal sign is a point in {proofs['.']}, and a comma in {proofs[',']}; choose: {KEYS}"
        )
    if ".," in proofs and not {".", ","} & proofs.keys():
        raise ConfigError(
            f"{sheet.path}, {proofs['.,']} may have thousands, or three decimals, and no other number decides it; "
            f"choose: {KEYS}"
        )
    if not proofs:
        _refuse_open(sheet, columns)
    return "," if "," in proofs else "."


def _refuse_open(sheet: Sheet, columns: Sequence[str]) -> None:
    """Refuse a table whose points may all stand between thousands, and likely do."""
    likely = ""
    for name in columns:
        first, short, long = "", False, False
        for place, cell in sheet.cells[name].str.strip().items():
            if OPEN.fullmatch(cell):
                first = first or f"column {name!r}, line {place}: {cell!r}"
            elif "." in cell and NUMBER["."].fullmatch(cell):
                return
            elif cell.isdigit():
                short, long = short or len(cell) < 4, long or len(cell) > 3
        if first and not long and (short or sheet.separator == ";"):
            likely = likely or first
    if likely:
        raise ConfigError(
            f"{sheet.path}, {likely} may have three decimals, or thousands, and no other number decides it; "
            f"choose: {KEYS}"
        )


def _with_signs(column: pd.Series) -> Iterator[tuple[object, str]]:
    """The different cells of a column that have a point or comma, with their lines; none if it is no column of numbers.

    Of a column that is plain as it stands the first cell that may not be read otherwise is enough.
    """
    cells = column[~is_missing(column)].str.strip().drop_duplicates()
    if cells.empty or not any(pattern.fullmatch(cells.iloc[0]) for pattern in NUMBER.values()):
        return
    cells = cells[cells.str.contains("[.,]")]
    if pd.to_numeric(cells, errors="coerce").notna().all():
        yield from ((line, cell) for line, cell in cells.items() if not OPEN.fullmatch(cell))
    elif all(any(pattern.fullmatch(cell) for pattern in NUMBER.values()) for cell in cells):
        yield from cells.items()


def read_numbers(cells: pd.Series, decimal: str) -> Numbers:
    """Read a column with a known decimal sign.

    Args:
        cells: texts.
        decimal: the sign; the other one may stand between thousands.
    """
    missing = is_missing(cells)
    values = blockwise(lambda some: pd.to_numeric(some, errors="coerce").astype(float), cells.where(~missing))
    doubtful = ~missing & ~np.isfinite(values)
    if decimal == ",":
        doubtful |= cells.str.contains(".", regex=False) & ~missing
    read = [_read(cell.strip(), decimal) for cell in cells[doubtful]]
    written = [number for number in read if number is not None]
    units = {number.unit for number in written if number.unit}
    same = len(units) < 2 and (not units or len(written) == (~missing).sum() == sum(bool(n.unit) for n in written))
    found = [number.value if number and (same or not number.unit) else np.nan for number in read]
    values[doubtful] = np.array(found, dtype=float)
    return Numbers(values, missing, tuple(_said(str(cells.name), cells, written, units if same else set())))


def _read(cell: str, decimal: str) -> Written | None:
    match = NUMBER[decimal].fullmatch(cell)
    if match is None or (match["open"] == "(") != cell.endswith(")"):
        return None
    digits = match["digits"].replace(match["group"], "") if match["group"] else match["digits"]
    unit = (match["unit"] or "").strip()
    negative = bool(match["open"]) or match["sign"] not in ("", "+") or bool(match["inner"])
    value = float(digits.replace(decimal, ".") + match["exponent"]) * FACTORS.get(unit, 1.0)
    return Written(-value if negative else value, "" if unit in FACTORS else unit, match["money"], bool(match["open"]))


def _said(name: str, cells: pd.Series, written: Sequence[Written], units: set[str]) -> Iterator[str]:
    """Sentences about how the numbers of a column were read, beside their decimal sign."""
    money = "".join(sorted({number.money for number in written}))
    if money:
        yield f"Column {name!r}: read without its {money}."
    if units:
        yield f"Column {name!r}: its unit {units.pop()!r} is left out, the numbers stay as they are."
    letters = [letter for letter in FACTORS if written and cells.str.strip().str.endswith(letter).any()]
    if letters:
        factors = ", ".join(f"{letter} = {FACTORS[letter]:,.0f}" for letter in letters)
        yield f"Column {name!r}: {factors}."
    if any(number.bracketed for number in written):
        yield f"Column {name!r}: numbers in brackets are negative."
