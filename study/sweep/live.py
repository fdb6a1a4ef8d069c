"""What a person sees of a sweep while it runs: one display on a terminal, plain lines elsewhere."""

import sys
import threading
from datetime import datetime, timedelta
from typing import Self

from optuna.trial import FrozenTrial
from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from study.sweep.ledger import MADE, Ledger, Standing
from study.sweep.plan import Plan

PAUSE = 1.0
"""Seconds between looks at the study."""
LAST = 8
"""Finished runs shown."""


class Live:
    """Watches a ledger from a thread of its own while the block lasts, whatever launcher does the work."""

    def __init__(self, ledger: Ledger):
        self._ledger, self._console = ledger, Console(file=sys.stdout)
        self._told = {standing.trial.number for standing in over(ledger.standings()) if standing.trial}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        if not self._console.is_terminal:
            while not self._done.wait(PAUSE):
                self._tell()
            self._tell()
            return
        screen = Screen(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )  # redirects nothing: a worker in this process does it for itself
        with screen:
            while not self._done.wait(PAUSE):
                screen.update(render(self._ledger.standings(), self._ledger.plan), refresh=True)

    def _tell(self) -> None:
        """A line for every run that has ended since the last time."""
        for standing in over(self._ledger.standings()):
            if standing.trial and standing.trial.number not in self._told:
                self._told.add(standing.trial.number)
                number = f"[{len(self._told)}/{len(self._ledger.plan)}]"
                self._console.print(number, line(standing, self._ledger.plan), markup=False, soft_wrap=True)


def render(standings: list[Standing], plan: Plan) -> RenderableType:
    """The whole display: how many runs stand how, time left, the last that ended, those under way."""
    ended, running = over(standings), [standing for standing in standings if standing.state == "running"]
    head = Table.grid(padding=(0, 2))
    words = ("running", "completed", "diverged", "pruned", "failed")
    counts = [f"{sum(s.state == word for s in standings)} {word}" for word in words]
    bar = ProgressBar(total=len(plan), completed=len(ended), width=30)
    head.add_row(bar, f"{len(ended)}/{len(plan)} runs", *counts, left(standings, len(plan)))
    rows = [Text(f"  {line(standing, plan)}", style="dim", no_wrap=True) for standing in ended[-LAST:]]
    rows += [Text(f"> {title(s, plan)}  {_clock(s.trial)}", no_wrap=True) for s in running if s.trial]
    return Group(head, *rows)


def over(standings: list[Standing]) -> list[Standing]:
    """The runs that have ended, in that order."""
    ended = [standing for standing in standings if standing.state not in ("open", "running")]
    return sorted(ended, key=lambda s: (s.trial and s.trial.datetime_complete) or datetime.min)


def left(standings: list[Standing], total: int) -> str:
    """Time left, from how long runs took so far."""
    took = [_seconds(s.trial) for s in standings if s.state in MADE and s.trial]
    running = [_seconds(s.trial) for s in standings if s.state == "running" and s.trial]
    if not took or not running:
        return ""
    mean = sum(took) / len(took)
    work = (total - len(over(standings))) * mean - sum(min(mean, seconds) for seconds in running)
    return f"{timedelta(seconds=round(work / len(running)))} left"


def title(standing: Standing, plan: Plan) -> str:
    """What a run is."""
    cell, tuned = standing.cell, standing.trial.params if standing.trial else {}
    which = f"trial {cell.number + 1}" if cell.phase == "search" else f"seed {cell.seed}"
    values = {key.rpartition(".")[2]: f"{v:.3g}" if isinstance(v, float) else v for key, v in tuned.items()}
    return " ".join([plan.names[cell.arm], which, *(f"{key}={value}" for key, value in values.items())])


def line(standing: Standing, plan: Plan) -> str:
    """What came of a run."""
    found = standing.record
    if standing.state == "failed":
        return f"{title(standing, plan)}: failed: {found.get('error', 'its process died again and again')}"
    if standing.state == "pruned":
        return f"{title(standing, plan)}: pruned"
    return (
        f"{title(standing, plan)}: {standing.state}, {found['verdict']}, {found['measure']} {found['test']:.4g} "
        f"in {found['seconds']:.0f} s"
    )


def _seconds(trial: FrozenTrial) -> float:
    start = trial.datetime_start or datetime.now()
    return ((trial.datetime_complete or datetime.now()) - start).total_seconds()


def _clock(trial: FrozenTrial) -> str:
    return str(timedelta(seconds=round(_seconds(trial))))
