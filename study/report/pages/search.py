"""The sections of a study's page about a search: the best trial of each arm, figures, every trial."""

from collections.abc import Iterator, Mapping

import pandas as pd

from study.report.data.importance import Importance, importances_by_arm
from study.report.data.trials import Search
from study.report.figures.importance import importances, parallel_coordinates
from study.report.figures.search import budget, slices
from study.report.pages.page import Head, Row, Section, Table, TableCell
from study.tracking.outcomes import FINISHED, LOST

CHOSEN = (
    "The best trial was chosen by this number, so it is optimistic; the comparison above measures the chosen "
    "configuration on fresh seeds."
)


def sections(search: Search) -> Iterator[Section]:
    """The sections about the search of one task."""
    by_arm = importances_by_arm(search)
    drawn = budget(search), slices(search), importances(search, by_arm), parallel_coordinates(search)
    pictures = [picture for picture in drawn if picture is not None]
    yield Section(f"search: {search.task}", list(_not_shown(by_arm)), [_winners(search)], pictures)
    yield Section(f"trials: {search.task}", tables=[_trials(search)])


def _not_shown(by_arm: Mapping[str, Importance | str]) -> Iterator[str]:
    """Of which arms it is not shown which keys matter, and why."""
    reasons: dict[str, list[str]] = {}
    for arm, found in by_arm.items():
        if isinstance(found, str):
            reasons.setdefault(found, []).append(arm)
    if reasons:
        listed = "; ".join(f"{', '.join(arms)} ({reason})" for reason, arms in reasons.items())
        yield f"Which keys matter is not shown for {listed}."


def trial_names(search: Search) -> Mapping[str, str]:
    """What the page shows of a trial under the pointer, by run id."""
    return {
        str(run): f"{row['arm']}, {_values(search, row)}: {row['outcome']}" for run, row in search.trials.iterrows()
    }


def _winners(search: Search) -> Table:
    """One row for each arm, with its best trial."""
    outcomes = list(search.trials["outcome"].value_counts().index)
    heads = [
        Head("arm"),
        Head("trials"),
        *map(Head, outcomes),
        Head(f"best {search.measure} on validation"),
        Head("found with"),
    ]
    return Table(heads, [Row(_winner(search, arm, outcomes)) for arm in search.arms], CHOSEN)


def _winner(search: Search, arm: str, outcomes: list[str]) -> list[TableCell]:
    mine = search.trials[search.trials["arm"] == arm]
    counts = [len(mine), *((mine["outcome"] == outcome).sum() for outcome in outcomes)]
    completed = mine[mine["outcome"].isin(FINISHED)].dropna(subset="value").sort_values("value")
    cells = [TableCell(arm), *(TableCell(str(count)) for count in counts)]
    if completed.empty:
        return [*cells, TableCell("-"), TableCell("-")]
    best = completed.iloc[-1 if search.maximize else 0]
    return [*cells, TableCell(f"{best['value']:#.4g}", run=str(best.name)), TableCell(_values(search, best))]


def _trials(search: Search) -> Table:
    """One row for each trial, best first."""
    heads = [Head("arm"), *(Head(axis.label, axis.key) for axis in search.axes)]
    heads += [
        Head(f"{search.measure} on validation", "of a pruned trial: the last before it was pruned"),
        Head("outcome"),
        Head("why it ended"),
    ]
    ordered = search.trials.sort_values("value", ascending=not search.maximize, na_position="last", kind="stable")
    rows = [
        Row(list(_trial(search, str(run), row)), quiet=row["outcome"] not in FINISHED)
        for run, row in ordered.iterrows()
    ]
    return Table(heads, rows)


def _trial(search: Search, run: str, row: pd.Series) -> Iterator[TableCell]:
    yield TableCell(str(row["arm"]), run=run)
    yield from (TableCell(_format_value(row[axis.key])) for axis in search.axes)
    yield TableCell("-" if row["outcome"] in LOST else _format_value(row["value"]))
    yield TableCell(str(row["outcome"]))
    yield TableCell("" if row["outcome"] in FINISHED else str(row["cause"]).replace("**", ""))


def _values(search: Search, row: pd.Series) -> str:
    """The tuned values of a trial."""
    return " ".join(f"{axis.label}={_format_value(row[axis.key])}" for axis in search.axes if pd.notna(row[axis.key]))


def _format_value(value: object) -> str:
    """Four digits of a number; a dash where there is no value."""
    return "-" if pd.isna(value) else f"{value:.4g}" if isinstance(value, int | float) else str(value)  # type: ignore[call-overload]
