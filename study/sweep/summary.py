"""What a sweep tells at its end: a table of its arms, what failed, where the results are."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from rich.table import Table

from study.sweep.trials.ledger import Ledger
from study.sweep.trials.status import MADE
from study.sweep.workers.display import bests, line

COLUMNS = ("run", "test", "naive", "verdict", "half-life", "outcome", "seconds")


def table(ledger: Ledger) -> Table:
    """One row an arm over its seeds (search trials are left out: they were chosen, not measured)."""
    drawn = Table(*COLUMNS, box=None, header_style="bold")
    by_arm = _counting(ledger)
    for arm, name in ledger.plan.names.items():
        if by_arm[arm]:
            drawn.add_row(name, *_row(by_arm[arm]))
    return drawn


def best_of_arms(ledger: Ledger) -> str:
    """What is best of every arm by now, as Markdown: of a search the trial that won, then each arm over its seeds."""
    by_arm = _counting(ledger)
    rows = [f"| {name} | {' | '.join(_row(by_arm[arm]))} |" for arm, name in ledger.plan.names.items() if by_arm[arm]]
    head = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"] if rows else []
    return "\n".join([*(f"- {told}" for told in bests(ledger.statuses(), ledger.plan, ledger.sign)), "", *head, *rows])


def failures(ledger: Ledger) -> list[str]:
    """Every failed run with its error."""
    return [line(status, ledger.plan) for status in ledger.statuses() if status.state == "failed"]


def _counting(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """What was written down of the runs that count, by arm."""
    by_arm: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for status in ledger.statuses():
        if status.state in MADE and status.cell.phase != "search":
            by_arm[status.cell.arm].append(status.record)
    return by_arm


def _row(runs: list[dict[str, Any]]) -> list[str]:
    """Means are over the runs that came to an end: what is left of a diverged network is nothing to measure."""
    ended = [run for run in runs if run["outcome"] != "diverged"]
    test = [run["test"] for run in ended]
    spread = f" ± {statistics.stdev(test):.2g}" if len(test) > 1 else ""
    return [
        f"{runs[0]['measure']} {statistics.fmean(test):.4g}{spread}" if test else "-",
        f"{statistics.fmean(run['baseline'] for run in runs):.4g}",
        _count(run["verdict"] for run in runs),
        f"{statistics.fmean(run['half_life'] for run in ended):.1f}" if ended else "-",
        _count(run["outcome"] for run in runs),
        f"{statistics.fmean(run['seconds'] for run in runs):.0f}",
    ]


def _count(words: Iterable[str]) -> str:
    counts = Counter(words)
    return next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {word}" for word, n in counts.most_common())
