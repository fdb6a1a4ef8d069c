"""The answer about a task in words and in tables: a sentence an arm, what each reached, what its gradients did."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from study.report.data.comparison import Comparison
from study.report.data.opponents import reached
from study.report.data.ranking import Answer
from study.report.data.statistics import Interval
from study.report.data.wording import format_interval, format_seeds
from study.report.pages.page import NBSP, Conclusions, Head, Row, Section, Statement, Swatch, Table, TableCell

LEFT_OUT = "Runs that diverged, or were ruined by their own updates, are left out of means and lose every comparison."
EXPLAINED = (
    "± is half of an interval. Intervals of means: 95%, Student's t over seeds (bootstrap intervals of few seeds are "
    "too narrow), each for its row alone; that of the best arm is optimistic: the same runs chose it. Where some seeds "
    "fail outright they are too narrow: with 3 failures in 10 runs, an interval of 3 seeds holds the true mean in 63% "
    "of studies, of 5 seeds in 83%, of 10 in 96%. Those of differences hold for all pairs of arms together ({how}), "
    "so the choice of the best does not invalidate them. The rows below the arms are what they are measured against: "
    "the opponents of the task, fitted on its training part, or the naive guess, which uses no memory; whether an arm "
    "beats them holds for all arms together (Bonferroni; the scatter that of all arms, where three or more scatter "
    f"alike). {LEFT_OUT}"
)
ONE_EACH = (
    f"{LEFT_OUT} The rows below the arms are the opponents of the task, fitted on its training part, or the naive "
    "guess, which uses no memory."
)
POOLED = "Tukey's studentized range on arms x seeds, the scatter taken from all arms"
ALONE = "Bonferroni, each on its own seeds, since the arms do not scatter alike"
TAKEN = "What the gradients of every arm did, and what its runs took, in the order of the table above."
NAIVE = "naive guess"


class Column(NamedTuple):
    """A column of a table of arms: its head, and the text of an arm; `{measure}` in a head is that of the task."""

    head: Head
    text: Callable[[Answer], str]


def conclusions(comparison: Comparison, section: Section, answers: Sequence[Answer]) -> Conclusions:
    """The sentence about every arm, best first, to be quoted; they lead to the section about the task."""
    said = [Statement(found.arm, found.sentence, Swatch(place)) for place, found in enumerate(answers)]
    return Conclusions(comparison.task, section.anchor, said)


def tables(comparison: Comparison, answers: Sequence[Answer], pooled: bool) -> Iterator[Table]:
    """What every arm reached, below it the references; then its gradients and what it took.

    Args:
        comparison: of the task.
        answers: best first.
        pooled: the scatter behind differences is that of all arms.
    """
    several = any(found.measure.seeds > 1 for found in answers)
    explained = EXPLAINED.format(how=POOLED if pooled else ALONE) if several else ONE_EACH
    yield _table(comparison, REACHED, answers, explained, list(references(comparison)))
    yield _table(comparison, TOOK, answers, TAKEN, [])


def _table(
    comparison: Comparison,
    columns: Sequence[Column],
    answers: Sequence[Answer],
    explained: str,
    references: Sequence[tuple[str, str]],
) -> Table:
    """One row for each arm, below them what they are measured against; columns without content are left out."""
    texts = [[column.text(found) for column in columns] for found in answers]
    kept = [i for i in range(len(columns)) if any(row[i] not in ("-", "0") for row in texts)]
    heads = [Head(columns[i].head.text.format(measure=comparison.measure), columns[i].head.help) for i in kept]
    rows = [
        Row([TableCell(found.arm, swatch=Swatch(place)), *(TableCell(row[i]) for i in kept[1:])])
        for place, (found, row) in enumerate(zip(answers, texts, strict=True))
    ]
    blank = ["-"] * (len(kept) - 2)
    rows += [Row([TableCell(text) for text in (*reference, *blank)], quiet=True) for reference in references]
    return Table(heads, rows, explained)


def references(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """The opponents and their values, the best first; of runs of older versions the naive guess.

    A span where arms differ in what decides the value, such as the length of sequences.
    """
    levels, guesses = reached(comparison), comparison.runs["baseline"].dropna()
    if not levels and len(guesses):
        levels = {NAIVE: (float(guesses.min()), float(guesses.max()))}
    for name, (low, high) in levels.items():
        yield name, f"{low:.4g}" if math.isclose(low, high) else f"{low:.4g} to {high:.4g}"


def _measure(found: Answer) -> str:
    """The measure with its interval; of an arm without one what happened to its runs."""
    if found.measure.seeds:
        return _interval(found.measure)
    return ", ".join(dict.fromkeys(ending.partition(" (")[0] for ending in found.endings))


def _gap(found: Answer) -> str:
    return _interval(found.gap) if found.gap is not None and found.gap.seeds > 1 else "-"


def _interval(interval: Interval) -> str:
    return format_interval(interval).replace(" ", NBSP)


def _loses(found: Answer) -> str:
    return f"{found.beaten:.0%}" if found.runs > 1 and not math.isnan(found.beaten) else "-"


def _counts(words: Mapping[str, int], several: bool) -> str:
    """How many runs each word is of; the bare word where there is one run."""
    return ", ".join(f"{count} {word}" if several else word for word, count in words.items()) or "-"


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else "none" if math.isinf(value) else format(value, form)


ARM = Column(Head("arm", "the values that distinguish it from the others; best arm first"), lambda found: found.arm)
MEASURED = Column(Head("{measure} on test", "mean over seeds, with its 95% interval"), _measure)
GAP = Column(
    Head("behind the best", "mean difference to the best arm, paired by seed, with its interval; above 0 is worse"),
    _gap,
)
BEATS = Column(
    Head("beats", "opponents, fitted on the same data and measured on the same steps, that the arm is shown to beat"),
    lambda found: found.beats,
)
ENDED = Column(
    Head("ended as", "outcomes of the runs and, in brackets, what may have kept them from more; see Runs"),
    lambda found: _counts(found.endings, found.runs > 1),
)
GRADIENTS = Column(
    Head("gradients", "verdicts on the runs: what the gradient of one step's loss does over the lag"),
    lambda found: _counts(found.verdicts, found.runs > 1),
)
REACHED = (
    ARM,
    MEASURED,
    GAP,
    Column(
        Head(
            "seeds needed",
            "for a difference that is not shown: seeds at which 80% of studies would show a true difference of the "
            "size seen; rather too few, since the same runs chose the best arm",
        ),
        lambda found: format_seeds(found.seeds_needed),
    ),
    Column(
        Head("loses to the best", "probability that a run of the best arm beats one of this arm (Mann-Whitney)"), _loses
    ),
    BEATS,
    ENDED,
)
TOOK = (
    ARM,
    GRADIENTS,
    Column(
        Head("half-life", "steps back over which the gradient of one step's loss halves; median over runs"),
        lambda found: _number(found.half_life, ".3g"),
    ),
    Column(
        Head("horizon", "largest lag measured at which at least 1% of the gradient is left; median over runs"),
        lambda found: _number(found.horizon, ".0f"),
    ),
    Column(
        Head("clipped", "share of the updates in which clipping changed the gradient; mean over runs"),
        lambda found: _number(found.clipped, ".0%"),
    ),
    Column(
        Head("parameters", "numbers that are trained, of all layers, embedding and head"),
        lambda found: _number(found.size[0], ",.0f"),
    ),
    Column(
        Head("state", "numbers that a sequence carries from one step to the next"),
        lambda found: _number(found.size[1], ",.0f"),
    ),
    Column(
        Head("updates", "mean over runs that did not diverge; of an arm whose runs all did, over all"),
        lambda found: _number(found.read.updates, ",.0f"),
    ),
    Column(
        Head(
            "steps read", "at which losses were taken: the updates times their mean over an epoch; mean as of updates"
        ),
        lambda found: _number(found.read.steps, ",.0f"),
    ),
    Column(
        Head("seconds", "of training, validation included; mean over runs"),
        lambda found: _number(found.seconds, ".0f"),
    ),
)
