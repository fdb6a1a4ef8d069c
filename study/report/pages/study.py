"""The page of a study: for each task its arms compared, its gradients, its search; and all runs."""

import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from study.errors import ConfigError
from study.report.data.comparison import Comparison
from study.report.data.histories import Norms, load_norms, unreadable
from study.report.data.plan import Planned, load_plan
from study.report.data.ranking import answer
from study.report.data.reading import noting, tried
from study.report.data.results import results, write_table
from study.report.data.runs import Evidence, gather
from study.report.data.trials import Search, searches
from study.report.pages import runs as runs_page
from study.report.pages import search as search_page
from study.report.pages import task as task_page
from study.report.pages.answer import conclusions
from study.report.pages.asked import asked
from study.report.pages.notes import further, notes, unread
from study.report.pages.page import Conclusions, Page, Section
from study.terminal import say
from study.tracking import view


def write(
    slug: str, uri: str, ui: str, folder: Path, printed: Collection[str] = (), kept: bool = False
) -> Path:  # fmt: skip
    """Write the page of a study, its figures and `results.csv`.

    Args:
        slug: of the study.
        uri: of the MLflow store.
        ui: address of the MLflow UI, which links open.
        folder: to write into.
        printed: formats besides SVG that figures are written in, see `study.report.FORMATS`.
        kept: whether they are logged to the newest sweep of the study; else nothing is written to the store.

    Returns:
        The path of the page.

    Raises:
        ConfigError: nothing was tracked under this slug, or the store cannot be used; or a page would be replaced by
            one that lacks a history of it, because that cannot be read any more; or there is no sweep to log it to.
    """
    with noting() as noted:
        evidence = gather(uri, slug)
        if kept and evidence.parent is None:
            raise ConfigError(f"{slug!r}: the store has no run of a sweep to log the page to; leave --keep out")
        table, known, page = _made(evidence, noted, ui)
    path = page.write(folder, "report", printed)
    for sentence in known:
        say(sentence, sys.stderr)
    write_table(table, folder)
    if kept and evidence.parent:
        evidence.parent.keep(folder, "report")
    return path


def _made(evidence: Evidence, noted: Mapping[str, None], ui: str) -> tuple[pd.DataFrame, list[str], Page]:
    """The results, what could not be read or drawn, and the page, which says it too."""
    counted = evidence.runs[evidence.runs["counts"]]
    loaded = {str(run): load_norms(logged) for run, logged in counted["logged"].items()}
    norms = {run: found for run, found in loaded.items() if found is not None}
    lost = {run: why for run, found in loaded.items() if (why := unreadable(counted["logged"][run], found))}
    table = results(evidence, norms)
    plan = load_plan(evidence.parent)
    page = _page(evidence, plan, norms, lost, table, ui)
    known = [*unread(lost, plan), *further(noted, lost)]
    return table, known, replace(page, notes=[*known, *page.notes])


def _page(
    evidence: Evidence, plan: Planned, norms: Mapping[str, Norms], lost: Mapping[str, str], table: pd.DataFrame, ui: str
) -> Page:
    found = tried("The search", lambda: list(_searches(evidence, plan))) or []
    said: list[Conclusions] = []
    sections: list[Section] = []
    for comparison in evidence.comparisons:
        made = tried(f"The comparison of {comparison.task}", partial(_of_task, comparison, norms, table))
        if made is not None:
            said.append(made[0])
            sections += made[1]
    for search in found:
        sections += tried(f"The search of {search.task}", partial(_of_search, search)) or []
    sections += [*([asked(evidence.answers)] if evidence.answers else []), runs_page.listed(evidence)]
    names = _run_names(evidence, found)
    table_of_runs = view.address(ui, evidence.experiment)
    known = list(notes(evidence, plan))
    return Page(evidence.slug, _lead(evidence), known, sections, names, ui, norms.keys(), lost, table_of_runs, said)


def _of_task(
    comparison: Comparison, norms: Mapping[str, Norms], table: pd.DataFrame
) -> tuple[Conclusions, list[Section]]:
    answered = answer(comparison, norms)
    sections = task_page.sections(comparison, answered, norms, table)
    return conclusions(comparison, sections[0], answered), sections


def _of_search(search: Search) -> list[Section]:
    return list(search_page.sections(search))


def _searches(evidence: Evidence, plan: Planned) -> Iterator[Search]:
    """The searches of the study; an arm looks as it does where its winner is compared."""
    compared = {comparison.task: comparison.arms for comparison in evidence.comparisons}
    for search in searches(evidence.runs, plan.search, plan.objective):
        yield replace(search, compared=compared.get(search.task, []))


def _run_names(evidence: Evidence, searches: list[Search]) -> dict[str, tuple[str, str]]:
    """What the page shows of a run under the pointer, and its MLflow experiment, by run id."""
    trials = {run: name for search in searches for run, name in search_page.trial_names(search).items()}
    rows = {str(run): row for run, row in evidence.runs.iterrows()}
    answers = {answer.run_id: (answer.name, answer.experiment) for answer in evidence.answers}
    return answers | {run: (trials.get(run) or _run_name(row), row["logged"].experiment) for run, row in rows.items()}


def _run_name(row: pd.Series) -> str:
    return f"{row['arm']}, seed {row['seed']}: {', '.join(filter(None, [row['ending'], row['verdict']]))}"


def _lead(evidence: Evidence) -> str:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in Counter(evidence.runs["outcome"]).most_common())
    return (
        f"{len(evidence.runs)} runs in this study ({outcomes}); {int(evidence.runs['counts'].sum())} of them count in "
        "the comparisons below. Point at a mark to see which run it is; click to open the run in MLflow."
    )
