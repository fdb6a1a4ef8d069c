"""What a sweep tells at its end: a table of its arms, what failed, where the results are."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from rich.table import Table

from study.sweep.ledger import MADE, Ledger
from study.sweep.live import line

COLUMNS = ("run", "test", "naive", "verdict", "half-life", "outcome", "seconds")


def table(ledger: Ledger) -> Table:
    """One row an arm over its seeds (search trials are left out: they were chosen, not measured)."""
    drawn = Table(*COLUMNS, box=None, header_style="bold")
    by_arm: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for standing in ledger.standings():
        if standing.state in MADE and standing.cell.phase != "search":
            by_arm[standing.cell.arm].append(standing.record)
    for arm, name in ledger.plan.names.items():
        if by_arm[arm]:
            drawn.add_row(name, *_row(by_arm[arm]))
    return drawn


def failures(ledger: Ledger) -> list[str]:
    """Every failed run with its error."""
    return [line(standing, ledger.plan) for standing in ledger.standings() if standing.state == "failed"]


def _row(runs: list[dict[str, Any]]) -> list[str]:
    test, several = [run["test"] for run in runs], len(runs) > 1
    spread = f" ± {statistics.stdev(test):.2g}" if several else ""
    return [
        f"{runs[0]['measure']} {statistics.fmean(test):.4g}{spread}",
        f"{statistics.fmean(run['baseline'] for run in runs):.4g}",
        _count(run["verdict"] for run in runs),
        f"{statistics.fmean(run['half_life'] for run in runs):.1f}",
        _count(run["outcome"] for run in runs),
        f"{statistics.fmean(run['seconds'] for run in runs):.0f}",
    ]


def _count(words: Iterable[str]) -> str:
    counts = Counter(words)
    return next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {word}" for word, n in counts.most_common())
