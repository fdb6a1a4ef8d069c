"""The display of a sweep while it runs: redrawn in place on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from optuna.trial import FrozenTrial
from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from study.sweep.planning.plan import Plan
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.status import MADE, CellStatus, best
from study.terminal import clean
from study.tracking.outcomes import format_ending

LAST = 6
"""Finished runs shown."""
ARMS = 12
"""Arms shown."""
WORDS = ("running", "completed", "diverged", "pruned", "failed")


class Display:
    """Shows a ledger at every `show` while in the block, with any launcher and workers on any machine."""

    def __init__(self, ledger: Ledger):
        self._ledger, self._console = ledger, Console(file=sys.stdout)
        self._printed = {status.trial.number for status in ended_runs(ledger.statuses()) if status.trial}
        self._screen = Screen(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )  # redirects nothing: a worker in this process redirects its own output

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.show()
        self._screen.stop()

    def show(self) -> None:
        """Read the ledger and show what is new."""
        statuses, plan = self._ledger.statuses(), self._ledger.plan
        if self._console.is_terminal:
            self._screen.update(render(statuses, plan, self._ledger.sign), refresh=True)
            return
        for status in ended_runs(statuses):
            if status.trial and status.trial.number not in self._printed:
                self._printed.add(status.trial.number)
                ended = f"[{len(self._printed)}/{len(plan)}] {format_ended(status, plan)}"
                self.say("; ".join(filter(None, (ended, time_left(statuses, len(plan))))))

    def say(self, words: str) -> None:
        """Print a line that stays."""
        self._console.print(clean(words), markup=False, highlight=False, soft_wrap=True)


def render(statuses: list[CellStatus], plan: Plan, sign: int) -> RenderableType:
    """The whole display: runs by state, time left, the best of each arm, the last ended runs, the running ones."""
    ended, running = ended_runs(statuses), [status for status in statuses if status.state == "running"]
    head = Table.grid(padding=(0, 2))
    counts = [f"{sum(s.state == word for s in statuses)} {word}" for word in WORDS]
    bar = ProgressBar(total=len(plan), completed=len(ended), width=30)
    head.add_row(bar, f"{len(ended)}/{len(plan)} runs", time_left(statuses, len(plan)))
    rows = [Text("  ".join(counts))]
    rows += [Text(clean(f"  {best_line}"), no_wrap=True) for best_line in best_lines(statuses, plan, sign)[:ARMS]]
    rows += [Text(clean(f"  {format_ended(status, plan)}"), style="dim", no_wrap=True) for status in ended[-LAST:]]
    rows += [Text(clean(f"> {format_running(s, s.trial, plan)}"), no_wrap=True) for s in running if s.trial]
    return Group(head, *rows)


def best_lines(statuses: Iterable[CellStatus], plan: Plan, sign: int) -> list[str]:
    """A line for every arm of a search with a result: its best trial so far."""
    search = [status for status in statuses if status.cell.phase == "search"]
    found = {arm: best((s for s in search if s.cell.arm == arm), sign) for arm in plan.arms}
    return [f"best: {title(s, plan)}: {s.value:.4g}" for s in found.values() if s is not None]


def ended_runs(statuses: list[CellStatus]) -> list[CellStatus]:
    """The runs that have ended, in the order in which they did."""
    ended = [status for status in statuses if status.state not in ("open", "running")]
    return sorted(ended, key=lambda s: (s.trial and s.trial.datetime_complete) or datetime.min)


def time_left(statuses: list[CellStatus], total: int) -> str:
    """The time left in words, from the time that runs took so far; empty while none has ended or none is running."""
    took = [_seconds(s.trial) for s in statuses if s.state in MADE and s.trial]
    running = [_seconds(s.trial) for s in statuses if s.state == "running" and s.trial]
    if not took or not running:
        return ""
    mean = sum(took) / len(took)
    work = (total - len(ended_runs(statuses))) * mean - sum(min(mean, seconds) for seconds in running)
    return f"{timedelta(seconds=round(work / len(running)))} left"


def title(status: CellStatus, plan: Plan) -> str:
    """The name of a run: its arm, its trial or seed, its tuned values."""
    tuned = status.trial.params if status.trial else {}
    values = {key.rpartition(".")[2]: f"{v:.3g}" if isinstance(v, float) else v for key, v in tuned.items()}
    return " ".join([plan.name(status.cell), *(f"{key}={value}" for key, value in values.items())])


def format_running(status: CellStatus, trial: FrozenTrial, plan: Plan) -> str:
    """A running run: its time so far, its last value and after how many updates, its machine."""
    interim = trial.intermediate_values
    value = f"{status.value:.4g} after {max(interim)}" if interim else "no value yet"
    clock = timedelta(seconds=round(_seconds(trial)))
    return f"{title(status, plan)}  {clock}  {value}  on {status.record.get('owner', {}).get('host', '?')}"


def format_ended(status: CellStatus, plan: Plan) -> str:
    """An ended run: its state, verdict, measure and time, or its error."""
    found = status.record
    if status.state == "failed":
        return f"{title(status, plan)}: failed: {found.get('error', 'its process died every time')}"
    if status.state == "pruned":
        return f"{title(status, plan)}: pruned"
    test = "" if status.state == "diverged" else f", {found['measure']} {found['test']:.4g}"
    where = f"in {found['seconds']:.0f} s on {found['owner']['host']}"
    return f"{title(status, plan)}: {ending(found)}, {found['verdict']}{test} {where}"


def ending(record: dict[str, Any]) -> str:
    """The outcome of a run, with its cause in brackets where there is one; records of older versions name none."""
    return format_ending(record["outcome"], record.get("cause", "none"))


def _seconds(trial: FrozenTrial) -> float:
    start = trial.datetime_start or datetime.now()
    return ((trial.datetime_complete or datetime.now()) - start).total_seconds()
