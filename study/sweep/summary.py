"""The summary at the end of a sweep: a table of its arms, and its failed runs."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from rich.table import Table

from study.sweep.trials.ledger import Ledger
from study.sweep.trials.status import MADE
from study.sweep.workers.display import best_lines, format_ended

COLUMNS = ("run", "test", "naive", "best opponent", "verdict", "half-life", "outcome", "seconds")


def table(ledger: Ledger) -> Table:
    """One row an arm over its seeds, without search trials, which were made to choose a winner, not to measure it."""
    drawn = Table(*COLUMNS, box=None, header_style="bold")
    by_arm = _counting(ledger)
    for arm, name in ledger.plan.names.items():
        if by_arm[arm]:
            drawn.add_row(name, *_row(by_arm[arm]))
    return drawn


def best_of_arms(ledger: Ledger) -> str:
    """The best so far as Markdown: the best trial of every search, and every arm over its seeds."""
    by_arm = _counting(ledger)
    trials = [f"- {best}" for best in best_lines(ledger.statuses(), ledger.plan, ledger.sign)]
    rows = [f"| {name} | {' | '.join(_row(by_arm[arm]))} |" for arm, name in ledger.plan.names.items() if by_arm[arm]]
    head = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"] if rows else []
    return "\n".join([*trials, "", *head, *rows])


def failures(ledger: Ledger) -> list[str]:
    """A line for every failed run, with its error."""
    return [format_ended(status, ledger.plan) for status in ledger.statuses() if status.state == "failed"]


def _counting(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """The records of the runs that count, by arm."""
    by_arm: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for status in ledger.statuses():
        if status.state in MADE and status.cell.phase != "search":
            by_arm[status.cell.arm].append(status.record)
    return by_arm


def _row(runs: list[dict[str, Any]]) -> list[str]:
    """The cells of one arm; means leave out diverged runs, whose networks are nothing to measure."""
    ended = [run for run in runs if run["outcome"] != "diverged"]
    test = [run["test"] for run in ended]
    spread = f" ± {statistics.stdev(test):.2g}" if len(test) > 1 else ""
    return [
        f"{runs[0]['measure']} {statistics.fmean(test):.4g}{spread}" if test else "-",
        f"{statistics.fmean(run['baseline'] for run in runs):.4g}",
        _opponent(ended),
        _count(run["verdict"] for run in runs),
        f"{statistics.fmean(run['half_life'] for run in ended):.1f}" if ended else "-",
        _count(run["outcome"] for run in runs),
        f"{statistics.fmean(run['seconds'] for run in runs):.0f}",
    ]


def _opponent(ended: list[dict[str, Any]]) -> str:
    """Whether the mean of an arm is ahead of the best opponent; runs of older versions have none."""
    known = [run for run in ended if "opponent" in run]
    if not known:
        return "-"
    ahead = statistics.fmean(run["skill"] for run in known) > 0
    return f"{'ahead of' if ahead else 'behind'} {known[0]['opponent_name']} ({known[0]['opponent']:.4g})"


def _count(words: Iterable[str]) -> str:
    counts = Counter(words)
    return next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {word}" for word, n in counts.most_common())
