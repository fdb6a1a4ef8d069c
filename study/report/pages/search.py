"""The part of a study's page that tells of a search: what was tried, what it brought, what ended each trial."""

from collections.abc import Iterator, Mapping

import pandas as pd

from study.report.data.trials import Search
from study.report.figures.importance import importances, parallel
from study.report.figures.search import budget, slices
from study.report.pages.page import Cell, Head, Row, Section, Table

CHOSEN = (
    "The best trial of an arm was chosen by this number, which flatters it: what the arm is worth stands above, "
    "measured on fresh seeds."
)


def sections(search: Search) -> Iterator[Section]:
    """Of one task."""
    drawn = budget(search), slices(search), importances(search), parallel(search)
    pictures = [picture for picture in drawn if picture is not None]
    yield Section(f"search: {search.task}", tables=[_winners(search)], pictures=pictures)
    yield Section(f"trials: {search.task}", tables=[_trials(search)])


def names(search: Search) -> Mapping[str, str]:
    """What a mark tells of a trial."""
    return {
        str(run): f"{row['arm']}, {_values(search, row)}: {row['outcome']}" for run, row in search.trials.iterrows()
    }


def _winners(search: Search) -> Table:
    """A row an arm."""
    outcomes = list(search.trials["outcome"].value_counts().index)
    heads = [
        Head("arm"),
        Head("trials"),
        *map(Head, outcomes),
        Head(f"best {search.measure} on validation"),
        Head("with"),
    ]
    return Table(heads, [Row(_winner(search, arm, outcomes)) for arm in search.arms], CHOSEN)


def _winner(search: Search, arm: str, outcomes: list[str]) -> list[Cell]:
    mine = search.trials[search.trials["arm"] == arm]
    counts = [len(mine), *((mine["outcome"] == outcome).sum() for outcome in outcomes)]
    completed = mine[mine["outcome"] == "completed"].dropna(subset="value").sort_values("value")
    cells = [Cell(arm), *(Cell(str(count)) for count in counts)]
    if completed.empty:
        return [*cells, Cell("-"), Cell("-")]
    best = completed.iloc[-1 if search.maximize else 0]
    return [*cells, Cell(f"{best['value']:#.4g}", run=str(best.name)), Cell(_values(search, best))]


def _trials(search: Search) -> Table:
    """A row a trial, the best first."""
    heads = [Head("arm"), *(Head(axis.label, axis.key) for axis in search.axes)]
    heads += [
        Head(f"{search.measure} on validation", "of a pruned trial its last"),
        Head("outcome"),
        Head("what ended it"),
    ]
    ordered = search.trials.sort_values("value", ascending=not search.maximize, na_position="last", kind="stable")
    rows = [
        Row(list(_trial(search, str(run), row)), quiet=row["outcome"] != "completed") for run, row in ordered.iterrows()
    ]
    return Table(heads, rows)


def _trial(search: Search, run: str, row: pd.Series) -> Iterator[Cell]:
    yield Cell(str(row["arm"]), run=run)
    yield from (Cell(_told(row[axis.key])) for axis in search.axes)
    yield Cell(_told(row["value"]))
    yield Cell(str(row["outcome"]))
    yield Cell("" if row["outcome"] == "completed" else str(row["cause"]).replace("**", ""))


def _values(search: Search, row: pd.Series) -> str:
    """The tuned values of a trial."""
    return " ".join(f"{axis.label}={_told(row[axis.key])}" for axis in search.axes if pd.notna(row[axis.key]))


def _told(value: object) -> str:
    return "-" if pd.isna(value) else f"{value:.4g}" if isinstance(value, int | float) else str(value)  # type: ignore[call-overload]
