"""The page on the causes of a run: the table of their tests, the runs made to tell them apart, the diagnosis beside."""

from collections.abc import Sequence

from study.analysis.causes.tested import CauseTest, first, number, otherwise
from study.ask.contrasted import Contrasted
from study.report.figures.forks import parted
from study.report.pages.page import Head, Row, Section, Table, TableCell
from study.tracking.reader import Logged


def causes(tests: Sequence[CauseTest]) -> Section:
    """The table of all tests."""
    named = first(tests)
    heads = ("cause", "found", "by", "number", "held against", "of what", "why", "change")
    rows = [_tested(test) for test in tests]
    first_named = "None is supported." if named is None else f"Named first: {named.cause}."
    text = (
        f"{first_named} Tested in this order; a decisive measurement comes before a fork, and a fork before a mere "
        "sign. A fork's number is its gain in the loss, as a share of it."
    )
    return Section("The causes, tested", [text], [Table([Head(head) for head in heads], rows)])


def _tested(test: CauseTest) -> Row:
    open_ = test.found == "not measured"
    numbers = number(test.value), number(test.threshold), test.measure
    cells = (test.cause, test.found, "" if open_ else test.evidence, *numbers, test.why, test.change)
    return Row([TableCell(text) for text in cells], quiet=open_)


def contrasted(run: Logged, made: Sequence[Contrasted]) -> list[Section]:
    """The runs that were made, beside the one that was asked; nothing where none was."""
    if not made:
        return []
    names = {" ".join(one.contrast.overrides): one for one in made}
    picture = parted(run, {name: one.run for name, one in names.items()}, [one.at for one in names.values()])
    heads = ("tests", "what", "from", "outcome", "run", "says")
    rows = [_row(name, one) for name, one in names.items()]
    text = (
        "A fork has the run's own data, order and random state from its update on, so the rest of the run is its "
        "control. A run of another width is no fork: it starts anew, from other weights, and is compared with the "
        "run's own first updates."
    )
    return [
        Section(
            "Runs made to tell them apart",
            [text],
            [Table([Head(head) for head in heads], rows)],
            [picture] if picture else [],
        )
    ]


def _row(name: str, one: Contrasted) -> Row:
    parted_at = f"update {one.at:,}" if one.at else "its own start"
    cells = (one.contrast.cause, name, parted_at, one.run.tags["outcome"], one.run.run_id[:8], one.tested.why)
    return Row([TableCell(text) for text in cells])


def beside_the_diagnosis(run: Logged, tests: Sequence[CauseTest]) -> Section:
    """What the run's own diagnosis said, and why the tests say otherwise, where they do."""
    tag = run.tags.get("cause", "none")
    text = otherwise(tests, tag) or f"The diagnosis at the end of the run names the same: {tag}."
    return Section("Beside the diagnosis", [text])
