"""What a person sees of a sweep while it runs: one display on a terminal, plain lines elsewhere."""

import sys
import threading
from datetime import datetime, timedelta
from typing import Self

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from study.sweep.ledger import OVER, Ledger, cell_of

PAUSE = 1.0
"""Seconds between looks at the study."""
LAST = 6
"""Finished runs shown."""


class Live:
    """Watches a ledger from a thread of its own while the block lasts, whatever launcher does the work."""

    def __init__(self, ledger: Ledger):
        self._ledger = ledger
        self._console = Console(file=sys.stdout)
        self._told = {trial.number for trial in self._ledger.standings() if trial.state.is_finished()}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        if not self._console.is_terminal:
            while not self._over.wait(PAUSE):
                self._tell()
            return self._tell()
        with Screen(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        ) as screen:
            while not self._over.wait(PAUSE):
                screen.update(render(self._ledger), refresh=True)

    def _tell(self) -> None:
        """A line for every run that has ended since the last time."""
        standings = self._ledger.standings()
        for trial in sorted(standings, key=lambda t: t.datetime_complete or datetime.max):
            if trial.state.is_finished() and trial.number not in self._told:
                self._told.add(trial.number)
                done = sum(t.state.is_finished() for t in standings)
                self._console.print(f"[{done}/{len(self._ledger.plan)}]", line(self._ledger, trial), markup=False)


def render(ledger: Ledger) -> RenderableType:
    """The whole display."""
    trials = ledger.standings()
    over = [t for t in trials if t.state.is_finished()]
    running = [t for t in trials if t.state == TrialState.RUNNING]
    counts = tally(trials)
    head = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=len(ledger.plan), completed=len(over), width=40)
    head.add_row(
        bar, f"{len(over)}/{len(ledger.plan)} runs", *(f"{n} {word}" for word, n in counts.items()), left(ledger)
    )
    last = sorted(over, key=lambda t: t.datetime_complete or datetime.min)[-LAST:]
    rows = [Text(f"  {line(ledger, t)}", style="dim") for t in last]
    rows += [Text(f"> {title(ledger, t)}  {_clock(t)}") for t in running]
    return Group(head, *rows)


def tally(trials: list[FrozenTrial]) -> dict[str, int]:
    """How many runs stand how."""
    return {
        "running": sum(t.state == TrialState.RUNNING for t in trials),
        "completed": sum(t.user_attrs.get("outcome") == "completed" for t in trials if t.state in OVER),
        "diverged": sum(t.user_attrs.get("outcome") == "diverged" for t in trials if t.state in OVER),
        "failed": sum(t.state == TrialState.FAIL for t in trials),
    }


def left(ledger: Ledger) -> str:
    """Time left, from how long runs took so far."""
    trials = ledger.standings()
    took = [_seconds(t) for t in trials if t.state in OVER]
    running = [_seconds(t) for t in trials if t.state == TrialState.RUNNING]
    if not took or not running:
        return ""
    mean = sum(took) / len(took)
    open_runs = len(ledger.plan) - sum(t.state.is_finished() for t in trials)
    seconds = (open_runs * mean - sum(min(mean, s) for s in running)) / len(running)
    return f"{timedelta(seconds=round(seconds))} left"


def title(ledger: Ledger, trial: FrozenTrial) -> str:
    """What a run is."""
    cell = cell_of(trial)
    tuned = " ".join(
        f"{key.rpartition('.')[2]}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in trial.params.items()
    )
    which = f"trial {cell.number + 1}" if cell.phase == "search" else f"seed {cell.seed}"
    return " ".join(filter(None, [ledger.plan.names[cell.arm], which, tuned]))


def line(ledger: Ledger, trial: FrozenTrial) -> str:
    """What came of a run."""
    found = trial.user_attrs
    if trial.state == TrialState.FAIL:
        return f"{title(ledger, trial)}: failed: {found.get('error', 'its process died')}"
    return (
        f"{title(ledger, trial)}: {found['outcome']}, {found['verdict']}, {found['measure']} {found['test']:.4g} "
        f"in {found['seconds']:.0f} s"
    )


def _seconds(trial: FrozenTrial) -> float:
    start = trial.datetime_start or datetime.now()
    return ((trial.datetime_complete or datetime.now()) - start).total_seconds()


def _clock(trial: FrozenTrial) -> str:
    return str(timedelta(seconds=round(_seconds(trial))))
