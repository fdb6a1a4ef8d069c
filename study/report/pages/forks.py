"""The forks of a run beside it: what changed, what became of each, and by how much."""

import math
from collections.abc import Iterator, Sequence

from study.report.figures.forks import PARENT, parted
from study.report.pages.page import Head, Row, Section, Table, TableCell
from study.tracking.answers import AT, TREATMENT
from study.tracking.reader import Logged

EXPLAINED = (
    "A fork has the run's own weights, optimizer, data order and random state at the update where it starts, so what "
    "differs after it comes from the treatment. It is one pair: another seed may differ by more. Repeat it on other "
    "seeds before it counts for more than this run."
)


def section(parent: Logged, forks: Sequence[Logged], *texts: str) -> Section:
    """The part of a page that shows at least one fork, under some texts."""
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
    rows = [Row(list(_cells(run, parent, measure))) for run in (parent, *forks)]
    named = {treatment(fork): fork for fork in forks}
    picture = parted(parent, named, [int(fork.tags[AT]) for fork in named.values()])
    return Section("Forks", texts, [Table(heads, rows, EXPLAINED)], [picture] if picture else [])


def treatment(fork: Logged) -> str:
    """What a fork changed, and from where on."""
    return f"{fork.tags.get(TREATMENT, fork.name)}, from {int(fork.tags[AT]):,}"


def _cells(run: Logged, parent: Logged, measure: str) -> Iterator[TableCell]:
    cause = run.tags.get("cause", "none")
    value, before = (of.measures.get(f"{measure}/test", math.nan) for of in (run, parent))
    itself = run is parent
    yield TableCell(PARENT if itself else run.tags.get(TREATMENT, run.name), run=run.run_id)
    yield TableCell("-" if itself else f"{int(run.tags[AT]):,}")
    yield TableCell(run.tags.get("outcome", run.status.lower()) + ("" if cause == "none" else f" ({cause})"))
    yield TableCell(f"{value:.4g}")
    yield TableCell("-" if itself else f"{value - before:+.4g}")
    yield TableCell(f"{run.measures.get('loss/val', math.nan):.4g}")
    yield TableCell(f"{run.measures.get('run/updates', math.nan):,.0f}")
