"""Tables as files: CSV for spreadsheets and programs, LaTeX for papers."""

import re
from hashlib import sha256
from pathlib import Path

import pandas as pd

from study.disk import whole
from study.report.spreadsheet import guard

LONGEST = 150
"""Letters of a file's name, without its ending: file systems take 255 bytes."""


def stem(name: str) -> str:
    """A name as that of a file: a plain one as it is, another with its letters replaced and a digest of it.

    Names come from stores, where a task may be called `../../x`.
    """
    plain = re.sub(r"[^\w.,=+ -]", "-", name, flags=re.ASCII)[:LONGEST].lstrip(".")
    return name if plain == name else f"{plain}-{sha256(name.encode(errors='replace')).hexdigest()[:8]}"


def write_csv(table: pd.DataFrame, path: Path) -> Path:
    """Write a table without its index, numbers with six digits, texts such that no spreadsheet runs them."""
    guarded = pd.concat([_guarded(column) for _, column in table.items()], axis=1)
    with whole(path) as part:
        guarded.rename(columns=guard).to_csv(part, index=False, float_format="%.6g")
    return path


def write_latex(table: pd.DataFrame, path: Path) -> Path:
    r"""Write a table of texts as a `tabular` with the rules of booktabs, special characters escaped.

    For a document with `\usepackage{booktabs}`.
    """
    style = table.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis=1)
    with whole(path) as part:
        part.write_text(style.to_latex(hrules=True))
    return path


def _guarded(column: pd.Series) -> pd.Series:
    """A column with its texts guarded; numbers and dates as they are."""
    return column.map(_cell) if column.dtype.kind in "OSU" or isinstance(column.dtype, pd.CategoricalDtype) else column


def _cell(value: object) -> object:
    return guard(value) if isinstance(value, str) else value
