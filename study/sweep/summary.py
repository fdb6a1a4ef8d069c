"""What a sweep tells at its end: a table of its arms, what failed, where the results are."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich.table import Table

from study.sweep.ledger import OVER, Ledger, cell_of
from study.sweep.live import line

COLUMNS = ("run", "test", "naive", "verdict", "half-life", "outcome", "seconds")


def table(ledger: Ledger) -> Table:
    """One row an arm over its seeds (search trials are left out: they were chosen, not measured)."""
    drawn = Table(*COLUMNS, box=None, header_style="bold")
    by_arm: dict[str, list[FrozenTrial]] = defaultdict(list)
    for trial in ledger.standings():
        cell = cell_of(trial)
        if trial.state in OVER and cell.phase != "search":
            by_arm[cell.arm].append(trial)
    for arm in ledger.plan.arms:
        if by_arm[arm]:
            drawn.add_row(ledger.plan.names[arm], *_row([trial.user_attrs for trial in by_arm[arm]]))
    return drawn


def failures(ledger: Ledger) -> list[str]:
    """Every failed run with its error."""
    return [line(ledger, trial) for trial in ledger.standings() if trial.state == TrialState.FAIL]


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
