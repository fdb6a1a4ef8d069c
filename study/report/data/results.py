"""`results.csv`: one row for each run of a study, with what it takes to get its numbers again."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from study.report import RESULTS
from study.report.data.histories import Norms
from study.report.data.planes import at_start
from study.report.data.runs import Evidence
from study.report.data.table_files import write_csv

HIDDEN = ("logged", "label", "arm_name", "note", "data_notes")
"""Columns of `Evidence.runs` that are no results, or too long for a table."""
NORM_COLUMNS = ["clipped", "norm_median", "norm_peak"]
"""Columns from the gradient norms of a run."""


def results(evidence: Evidence, norms: Mapping[str, Norms]) -> pd.DataFrame:
    """One row for each run, also for those that do not count; with the exponent before its first update.

    Args:
        evidence: all runs.
        norms: by run id, where there are any.
    """
    columns = [c for c in evidence.runs if c not in HIDDEN and not str(c).startswith("params.")]
    summaries = {run: (found.clipped, found.median, found.peak) for run, found in norms.items()}
    start = at_start(evidence.runs, "lyapunov.parquet", "exponent").rename("lyapunov_start")
    return (
        evidence.runs[columns].join(start).join(pd.DataFrame.from_dict(summaries, orient="index", columns=NORM_COLUMNS))
    )


def write_table(table: pd.DataFrame, folder: Path) -> Path:
    """Write the table of `results` into a folder, numbers with six digits; return its path."""
    return write_csv(table.reset_index(), folder / RESULTS)
