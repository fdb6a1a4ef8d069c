"""What runs were asked: the forks of a run beside it, and a list of all answers."""

import math
from collections.abc import Iterator, Sequence

from study.report.figures.forks import PARENT, parted
from study.report.pages.page import Head, Row, Section, Table, TableCell
from study.tracking.answers import TREATMENT, forked_at, sentence
from study.tracking.outcomes import LOST, format_ending
from study.tracking.reader import Logged

EXPLAINED = (
    "A fork has the run's own weights, optimizer, data order and random state at the update where it starts, so what "
    "differs after it comes from the treatment. It is one pair: another seed may differ by more. Repeat it on other "
    "seeds before it counts for more than this run."
)


def forks(parent: Logged, found: Sequence[Logged], *texts: str) -> Section:
    """The part of a page that shows a run beside its forks, at least one, under some texts."""
    measure = parent.tags.get("primary", "loss")
    heads = [
        Head("treatment", "overrides of the run"),
        Head("from", "the last update that they have in common"),
        Head("outcome", "and, in brackets, what may have kept it from more"),
        Head(f"{measure} on test"),
        Head("difference", "to the run as it was"),
        Head("loss on validation"),
        Head("updates"),
    ]
    rows = [Row(list(_cells(run, parent, measure))) for run in (parent, *found)]
    named = {treatment(fork): fork for fork in found}
    picture = parted(parent, named, [forked_at(fork) for fork in named.values()])
    return Section("Forks", texts, [Table(heads, rows, EXPLAINED)], [picture] if picture else [])


def asked(found: Sequence[Logged]) -> Section:
    """The part of a page that lists answers to questions about runs, at least one; forks may be among them."""
    cells = [
        (TableCell(one.tags["kind"], run=one.run_id), TableCell(one.name), TableCell(sentence(one))) for one in found
    ]
    table = Table([Head("question"), Head("run"), Head("answer")], [*map(Row, cells)])
    return Section("Asked", ["Each answer has a page, among the artifacts of the run that it links to."], [table])


def treatment(fork: Logged) -> str:
    """What a fork changed, and from where on."""
    return f"{fork.tags.get(TREATMENT, fork.name)}, from {forked_at(fork):,}"


def _cells(run: Logged, parent: Logged, measure: str) -> Iterator[TableCell]:
    cause = run.tags.get("cause", "none")
    value, before = (of.measures.get(f"{measure}/test", math.nan) for of in (run, parent))
    lost = [of.tags["outcome"] for of in (run, parent) if of.tags.get("outcome") in LOST]
    itself = run is parent
    yield TableCell(PARENT if itself else run.tags.get(TREATMENT, run.name), run=run.run_id)
    yield TableCell("-" if itself else f"{forked_at(run):,}")
    yield TableCell(format_ending(run.tags.get("outcome", run.status.lower()), cause))
    yield TableCell(run.tags["outcome"] if run.tags.get("outcome") in LOST else _number(value))
    yield TableCell("-" if itself or lost or not math.isfinite(value - before) else f"{value - before:+.4g}")
    diverged = run.tags.get("outcome") == "diverged"
    yield TableCell("-" if diverged else _number(run.measures.get("loss/val", math.nan)))
    yield TableCell(f"{run.measures.get('run/updates', math.nan):,.0f}")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"
