"""The result of an experiment as Markdown, from its `results.csv` alone: what its README shows."""

from collections import Counter
from collections.abc import Iterator, Sequence

from study.report.data.comparison import Comparison
from study.report.data.ranking import Answer, answer, compare
from study.report.data.statistics import mean_interval, share_interval
from study.report.data.wording import format_interval, format_power
from study.report.pages.answer import ARM, BEATS, ENDED, GAP, GRADIENTS, MEASURED, references
from study.report.pages.page import NBSP

COLUMNS = (ARM, MEASURED, GAP, BEATS, ENDED, GRADIENTS)
EXPONENTS = {"exponent at the start": "lyapunov_start", "autonomous exponent": "autonomous"}
"""Heads of columns with the mean of a number of the runs, nats a step."""
MOST = 30
"""More arms than this are counted by how they ended, not listed: a map shows them."""


def markdown(comparisons: Sequence[Comparison]) -> str:
    """The tables of all tasks, one after another."""
    return "\n\n".join("\n".join(_task(comparison)) for comparison in comparisons)


def _task(comparison: Comparison) -> Iterator[str]:
    seeds = comparison.runs["seed"].nunique()
    yield f"`{comparison.task}`, {len(comparison.arms)} arms, {seeds} {'seed' if seeds == 1 else 'seeds'}:"
    yield ""
    yield from _listed(comparison) if len(comparison.arms) <= MOST else _counted(comparison)
    if power := format_power(compare(comparison)):
        yield ""
        yield power


def _listed(comparison: Comparison) -> Iterator[str]:
    """One row an arm, best first, below them what they are measured against; columns without content are left out."""
    answers = answer(comparison, {})
    heads = [column.head.text.format(measure=comparison.measure) for column in COLUMNS]
    texts = [[column.text(found).replace(NBSP, " ") for column in COLUMNS] for found in answers]
    heads.insert(3, "solved")
    heads.extend(EXPONENTS)
    for row, found in zip(texts, answers, strict=True):
        row.insert(3, _solved(comparison, found))
        row.extend(_mean(comparison, found, name) for name in EXPONENTS.values())
    kept = [place for place in range(len(heads)) if any(row[place] != "-" for row in texts)]
    yield _line([heads[place] for place in kept])
    yield "|---" * len(kept) + "|"
    yield from (_line([row[place] for place in kept]) for row in texts)
    yield from (_line([f"*{name}*", level, *[""] * (len(kept) - 2)]) for name, level in references(comparison))


def _counted(comparison: Comparison) -> Iterator[str]:
    """How many runs ended how, the most frequent first."""
    yield _line(["ended as", "runs"])
    yield "|---|---:|"
    yield from (_line([ending, str(count)]) for ending, count in Counter(comparison.runs["ending"]).most_common())


def _solved(comparison: Comparison, found: Answer) -> str:
    """How many runs met the criterion of the task, and what share of such runs would: 95%, Wilson."""
    runs = comparison.arm(found.arm)["solved"].value_counts()
    solved, others = (int(runs.get(text, 0)) for text in ("True", "False"))
    if not solved + others:  # the task has no criterion
        return "-"
    share = share_interval(solved, solved + others)
    return f"{solved} of {share.seeds} ({share.low:.0%} to {share.high:.0%})"


def _mean(comparison: Comparison, found: Answer, column: str) -> str:
    """The mean of a number over the runs of an arm that have it, with its interval."""
    return format_interval(mean_interval(comparison.arm(found.arm)[column].dropna().to_numpy(float)))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
