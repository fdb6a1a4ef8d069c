"""The conclusion about an arm in one sentence that can be quoted: no more than the intervals support, and on what."""

from collections import Counter
from collections.abc import Iterator

import pandas as pd

from study.report.data.comparison import Comparison, worth
from study.report.data.differences import Differences
from study.report.data.opponents import Against
from study.report.data.statistics import Interval
from study.report.data.wording import format_interval, format_span
from study.tracking.outcomes import LOST


def conclude(comparison: Comparison, study: Differences, place: int, opponents: Against, naive: Interval) -> str:
    """The sentence about an arm, without its name.

    Args:
        comparison: of the task.
        study: the differences between its arms.
        place: of the arm, from 0, the best.
        opponents: the arm against its opponents.
        naive: how much worse it is than the naive guess.
    """
    mine = comparison.arm(comparison.arms[place])
    measure = comparison.interval(worth(mine))
    if not measure.seeds:
        return f"{_lost(mine) or 'no run has a value on test'}, so there is no {comparison.measure} to compare."
    clauses = (
        _measured(comparison, mine, measure),
        _behind(study.between(place, 0), measure, comparison.arms[0]) if place else _leading(study, measure),
        opponents.sentence or _learning(naive, float(mine["baseline"].mean())),
    )
    return "; ".join(filter(None, clauses)) + "."


def _measured(comparison: Comparison, runs: pd.DataFrame, measure: Interval) -> str:
    """The measure with what it rests on: seeds, and how the runs ended."""
    lost, of = int(worth(runs).isna().sum()), len(runs)
    seeds = f"{measure.seeds} of {of} seeds" if lost else "its one seed" if of == 1 else f"{of} seeds"
    rests = f"95% interval over {seeds}" if measure.seeds > 1 else seeds
    return f"{comparison.measure} {format_interval(measure)} on test ({rests}; {', '.join(_ended(runs))})"


def _ended(runs: pd.DataFrame) -> Iterator[str]:
    """How many runs ended how, those that were lost last and with the updates."""
    kept = runs[~runs["outcome"].isin(LOST)]
    for ending, count in Counter(_possibly(str(ending)) for ending in kept["ending"]).most_common():
        yield ending if len(runs) == 1 else f"all {ending}" if count == len(runs) else f"{count} {ending}"
    if len(kept) < len(runs):
        yield _lost(runs)


def _lost(runs: pd.DataFrame) -> str:
    """How many runs diverged or were ruined, why, and when."""
    lost = runs[runs["outcome"].isin(LOST)]
    return " and ".join(
        f"{_number(len(mine), len(runs))} {_lost_as(str(ending), mine)}"
        for ending, mine in lost.groupby("ending", sort=False)
    )


def _possibly(ending: str) -> str:
    """An ending whose cause, in brackets, is called what it is: a hypothesis."""
    return ending.replace(" (", " (possibly ", 1)


def _number(count: int, of: int) -> str:
    return "the run" if of == 1 else f"all {of} runs" if count == of else str(count)


def _lost_as(ending: str, runs: pd.DataFrame) -> str:
    """What happened to runs that were lost in one way; of diverged ones the last updates."""
    outcome, updates = str(runs["outcome"].iloc[0]), [int(n) for n in runs["updates"].dropna()]
    cause = _possibly(ending.removeprefix(outcome))
    if outcome == "ruined":
        return f"ruined by {'its' if len(runs) == 1 else 'their'} own updates{cause}"
    return f"diverged{cause}{f' at {format_span(updates)}' if updates else ''}"


def _leading(study: Differences, measure: Interval) -> str:
    """How the best arm compares with the others."""
    if study.arms < 2:
        return ""
    if measure.seeds < 2:
        return f"the best of {study.arms} arms on its one seed"
    worse = sum(study.between(place, 0).low > 0 for place in range(1, len(study.values)))
    than = "all others" if worse == study.arms - 1 else f"{worse} of the others"
    shown = f"better than {than}" if worse else "not shown to be better than any"
    return f"the best mean of {study.arms} arms, {shown}"


def _behind(gap: Interval, measure: Interval, best: str) -> str:
    """How another arm compares with the best one."""
    if gap.seeds < 2:
        return "" if measure.seeds < 2 else f"too few seeds in common with the best ({best}) to show a difference"
    if not gap.excludes(0.0):
        return f"not distinguishable from the best ({best}) at {gap.seeds} seeds"
    size = gap if gap.mean > 0 else Interval(-gap.mean, -gap.high, -gap.low, gap.seeds)
    return f"{'worse' if gap.mean > 0 else 'better'} than the best ({best}) by {format_interval(size)}"


def _learning(gap: Interval, level: float) -> str:
    """How an arm compares with the naive guess."""
    naive = f"the naive guess ({level:.4g})"
    if not gap.seeds:
        return ""
    if gap.seeds < 2:
        return f"{'ahead of' if gap.mean < 0 else 'behind'} {naive} on its one seed"
    if not gap.excludes(0.0):
        return f"not distinguishable from {naive} at {gap.seeds} seeds"
    return f"{'beats' if gap.mean < 0 else 'worse than'} {naive}"
