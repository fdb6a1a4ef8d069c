"""The section of a study's page that lists its runs."""

import math

import pandas as pd

from study.report.data.runs import Evidence
from study.report.pages.page import Head, Row, Section, Swatch, Table, TableCell
from study.tracking.outcomes import LOST


def listed(evidence: Evidence) -> Section:
    """A table of all runs but the trials of a search, with links."""
    heads = [Head(t) for t in ("run", "task", "arm", "seed", "phase", "outcome", "gradients", "test", "what happened")]
    runs = evidence.runs[evidence.runs["phase"] != "search"]
    known = {
        (comparison.task, arm): place
        for comparison in evidence.comparisons
        for place, arm in enumerate(comparison.arms)
    }
    looks = {key: Swatch(place) for key, place in known.items()}
    rows = [
        Row(_run_cells(str(run), row, looks.get((row["task"], row["arm"]))), quiet=not row["counts"])
        for run, row in runs.iterrows()
    ]
    explained = "Runs in italics do not count: repetitions, and runs that did not finish. Trials are listed above."
    return Section("Runs", [explained], [Table(heads, rows)])


def _run_cells(run: str, row: pd.Series, swatch: Swatch | None) -> list[TableCell]:
    return [
        TableCell(str(row["name"]), run=run),
        TableCell(str(row["task"])),
        TableCell(str(row["arm"]), swatch=swatch),
        *(TableCell(str(row[key])) for key in ("seed", "phase", "ending")),
        TableCell(str(row["verdict"]) or "-"),
        TableCell(_value(row)),
        TableCell(str(row["note"] or row["error"]).replace("**", "")),
    ]


def _value(row: pd.Series) -> str:
    """The measure on test; of a run that was lost what happened to it: its network is nothing to measure."""
    if row["outcome"] in LOST:
        return str(row["outcome"])
    return "-" if math.isnan(row["value"]) else f"{row['value']:.4g}"
