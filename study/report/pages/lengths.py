"""The table of length generalisation: arms by the lengths at which they were tested."""

from collections.abc import Iterator

import pandas as pd

from study.report.data.comparison import Comparison
from study.report.data.wording import format_interval
from study.report.pages.page import NBSP, Head, Row, Swatch, Table, TableCell

EXPLAINED = (
    "Length generalisation: {measure} on test sequences of other lengths than the network was trained at, mean over "
    "seeds with its 95% interval (Student's t, each for itself); runs that were lost are left out. Arms stand in the "
    "order of the first table, which is that at the length of training; below, the guess without memory at each length."
)


def tables(comparison: Comparison, data: pd.DataFrame) -> Iterator[Table]:
    """One table, or none where no run was tested at several lengths.

    Args:
        comparison: of the task.
        data: see `study.report.data.lengths`.
    """
    if data.empty:
        return
    lengths = sorted(data["length"].unique().tolist())
    heads = [Head("arm"), Head("trained at", "length of the training sequences")]
    heads += [Head(f"at {length}", f"{comparison.measure} on test sequences of this length") for length in lengths]
    arms = [arm for arm in comparison.arms if arm in set(data["arm"])]
    rows = [_row(comparison, arm, data[data["arm"] == arm], lengths) for arm in arms]
    guess = [f"{value:.4g}" for value in data.groupby("length")["guess"].mean()]
    rows.append(Row([TableCell(text) for text in ("guess without memory", "-", *guess)], quiet=True))
    yield Table(heads, rows, EXPLAINED.format(measure=comparison.measure))


def _row(comparison: Comparison, arm: str, data: pd.DataFrame, lengths: list[int]) -> Row:
    trained = ", ".join(str(length) for length in sorted(data.loc[data["trained"], "length"].unique()))
    found = (comparison.interval(data.loc[data["length"] == length, "value"]) for length in lengths)
    measured = [format_interval(at).replace(" ", NBSP) for at in found]
    return Row([TableCell(arm, swatch=Swatch(comparison.place(arm))), *map(TableCell, (trained, *measured))])
