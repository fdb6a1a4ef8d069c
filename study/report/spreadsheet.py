"""Texts in CSV files that a spreadsheet would take for formulas, and back. No pandas here: commands start fast.

A spreadsheet runs a cell that begins with =, +, -, @, a tab or a line break, whoever wrote it: the name of a run, an
override such as `+experiment=mine`. Such a cell gets an apostrophe before it, which spreadsheets read as *text* (OWASP,
CSV injection). Numbers stay numbers, -0.3 too.
"""

import csv
import re
from pathlib import Path

from study.tracking.plain import is_number

FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
"""How a formula begins; after apostrophes too, so that what is read back is what was written."""


def guard(text: str) -> str:
    """A text as a cell that no spreadsheet runs."""
    return f"'{text}" if FORMULA.match(text) and not is_number(text) else text


def unguard(cell: str) -> str:
    """The text that `guard` made a cell of."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def read_texts(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file written here, as the texts they were."""
    with file.open(newline="") as lines:
        rows = csv.DictReader(lines, restval="")
        return [{unguard(key): unguard(cell) for key, cell in row.items() if key is not None} for row in rows]
