"""The page of a single run: its verdict, its figures, its metrics, its configuration and how to reproduce it."""

import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from study.analysis.sample import FILE
from study.report.data.comparison import Comparison
from study.report.data.histories import Norms, describe_lost, load_norms, unreadable
from study.report.data.lengths import by_length
from study.report.data.reading import noting, tried
from study.report.data.runs import single
from study.report.figures import flow
from study.report.figures.gradients import norm_histories
from study.report.figures.lengths import generalisation
from study.report.figures.picture import Picture, drawn
from study.report.figures.predictions import predictions
from study.report.figures.run import (
    decay_over_training,
    flow_by_lag,
    gradient_by_time,
    loss_history,
    lyapunov_spectrum,
    recurrent_weights,
    truncation_bias,
)
from study.report.pages import asked
from study.report.pages.notes import further
from study.report.pages.page import Head, Listing, Page, Row, Section, Table, TableCell
from study.terminal import say
from study.tracking import answers
from study.tracking.outcomes import LOST
from study.tracking.reader import Logged

OF_NETWORK = ("/test", "/val", "skill/opponent")
"""Ends of metrics that say how good a network is: of one that was lost they say nothing."""


def write(run: Logged, ui: str, folder: Path, printed: Collection[str] = (), kept: bool = False) -> Path:
    """Write the page of a run.

    Args:
        run: read from its store.
        ui: address of the MLflow UI, which links open.
        folder: to write into.
        printed: formats besides SVG that figures are written in, see `study.report.FORMATS`.
        kept: whether it is logged among the artifacts of the run; else nothing is written to the store.

    Returns:
        The path of the page.

    Raises:
        ConfigError: the run's history cannot be read any more, and a page that rests on it is there.
    """
    with noting() as noted:
        norms = load_norms(run)
        lost = {run.run_id: why} if (why := unreadable(run, norms)) else {}
        page = _page(run, norms, lost, ui)
    known = [*([describe_lost(lost)] if lost else []), *further(noted, lost)]
    path = replace(page, notes=known).write(folder, "run", printed)
    for sentence in known:
        say(sentence, sys.stderr)
    if kept:
        run.keep(folder, "report")
    return path


def _page(run: Logged, norms: Norms | None, lost: Mapping[str, str], ui: str) -> Page:
    comparison = single(run)
    row = comparison.runs.iloc[0]
    verdict = str(row["note"] or row["error"] or "This run has not ended.").replace("**", "")
    sections = [
        Section("Verdict", [verdict]),
        Section("Training and gradients", pictures=list(pictures(run, comparison, norms))),
        *_predicted(run),
        *_asked(run),
        Section("Metrics", tables=[_metrics(run)]),
        Section("This run", listings=_definition(run)),
    ]
    names = {one.run_id: (one.name, one.experiment) for one in (run, *answers.given(run))}
    rests_on = [] if norms is None else [run.run_id]
    return Page(run.name, f"{row['outcome']}; run {run.run_id}.", [], sections, names, ui, rests_on, lost)


def pictures(run: Logged, comparison: Comparison, norms: Norms | None) -> Iterator[Picture]:
    """All figures that the run has data for."""
    yield from drawn(loss_history, run)
    yield from drawn(norm_histories, comparison, {} if norms is None else {run.run_id: norms})
    yield from drawn(flow_by_lag, run, flow.task_horizon(comparison))
    yield from drawn(flow.flow_over_training, comparison, flow.flow_data(comparison))
    yield from drawn(decay_over_training, run)
    yield from drawn(lyapunov_spectrum, run)
    yield from drawn(gradient_by_time, run)
    yield from drawn(recurrent_weights, run)
    yield from drawn(truncation_bias, run)
    yield from drawn(generalisation, comparison, by_length(comparison))


def _predicted(run: Logged) -> Iterator[Section]:
    """What the run predicted on its test part, and the text that it continues."""
    pictures = tried("What the run predicted", lambda: list(predictions(run))) or []
    texts = tried("The text that it continued", lambda: list(_continued(run))) or []
    if pictures or texts:
        yield Section("Predictions on test", pictures=pictures, listings=texts)


def _continued(run: Logged) -> Iterator[Listing]:
    if FILE in run.files():
        yield Listing("A text continued", run.read(FILE).decode(errors="replace"))


def _asked(run: Logged) -> Iterator[Section]:
    """The answers to questions about the run, and its forks; see `study.ask`."""
    found = answers.given(run)
    forks = [answer for answer in found if answer.tags["kind"] == "fork"]
    if forks:
        yield from filter(None, [tried("The table of forks", lambda: asked.forks(run, forks))])
    if others := [answer for answer in found if answer not in forks]:
        yield asked.asked(others)


def _metrics(run: Logged) -> Table:
    outcome = run.tags.get("outcome", "")
    texts = {
        key: outcome if outcome in LOST and key.endswith(OF_NETWORK) else f"{value:.6g}"
        for key, value in sorted(run.measures.items())
    }
    rows = [Row([TableCell(key), TableCell(text)]) for key, text in texts.items()]
    heads = [Head("metric"), Head("last value")]
    return Table(heads, rows, "The last value of every metric; MLflow shows them over updates.")


def _definition(run: Logged) -> list[Listing]:
    """The command that reproduces the run, and its configuration."""
    command = Listing("Reproduce", f"python -m study.reproduce {run.run_id} --store {run.uri}", open=True)
    parameters = "\n".join(f"{key}: {value}" for key, value in sorted(run.params.items()))
    return [command, Listing("Configuration", parameters)]
