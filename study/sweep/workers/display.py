"""What a person sees of a sweep while it runs: one display on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterable
from datetime import datetime, timedelta

from optuna.trial import FrozenTrial
from rich.console import Console, Group, RenderableType
from rich.live import Live as Screen
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from study.sweep.planning.plan import Plan
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.status import MADE, Standing, best

LAST = 6
"""Finished runs shown."""
ARMS = 12
"""Arms shown."""
WORDS = ("running", "completed", "diverged", "pruned", "failed")


class Live:
    """Shows a ledger at every `show` while the block lasts, whatever launcher does the work, on whatever machine."""

    def __init__(self, ledger: Ledger):
        self._ledger, self._console = ledger, Console(file=sys.stdout)
        self._told = {standing.trial.number for standing in over(ledger.standings()) if standing.trial}
        self._screen = Screen(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )  # redirects nothing: a worker in this process does it for itself

    def __enter__(self) -> "Live":
        if self._console.is_terminal:
            self._screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.show()
        self._screen.stop()

    def show(self) -> None:
        """Look at the ledger and tell what is new in it."""
        standings, plan = self._ledger.standings(), self._ledger.plan
        if self._console.is_terminal:
            self._screen.update(render(standings, plan, self._ledger.sign), refresh=True)
            return
        for standing in over(standings):
            if standing.trial and standing.trial.number not in self._told:
                self._told.add(standing.trial.number)
                remaining = left(standings, len(plan))
                told = f"[{len(self._told)}/{len(plan)}] {line(standing, plan)}"
                self.say(f"{told}; {remaining}" if remaining else told)

    def say(self, words: str) -> None:
        """A line that stays."""
        self._console.print(words, markup=False, highlight=False, soft_wrap=True)


def render(standings: list[Standing], plan: Plan, sign: int) -> RenderableType:
    """The whole display: how many runs stand how, time left, the best of each arm, the last ended, those under way."""
    ended, running = over(standings), [standing for standing in standings if standing.state == "running"]
    head = Table.grid(padding=(0, 2))
    counts = [f"{sum(s.state == word for s in standings)} {word}" for word in WORDS]
    bar = ProgressBar(total=len(plan), completed=len(ended), width=30)
    head.add_row(bar, f"{len(ended)}/{len(plan)} runs", left(standings, len(plan)))
    rows = [Text("  ".join(counts))]
    rows += [Text(f"  {told}", no_wrap=True) for told in list(bests(standings, plan, sign))[:ARMS]]
    rows += [Text(f"  {line(standing, plan)}", style="dim", no_wrap=True) for standing in ended[-LAST:]]
    rows += [Text(f"> {going_on(s, s.trial, plan)}", no_wrap=True) for s in running if s.trial]
    return Group(head, *rows)


def bests(standings: Iterable[Standing], plan: Plan, sign: int) -> list[str]:
    """A line for every arm of a search with a result: its best trial so far."""
    search = [standing for standing in standings if standing.cell.phase == "search"]
    found = {arm: best((s for s in search if s.cell.arm == arm), sign) for arm in plan.arms}
    return [f"best: {title(s, plan)}: {s.value:.4g}" for s in found.values() if s is not None]


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


def going_on(standing: Standing, trial: FrozenTrial, plan: Plan) -> str:
    """A run under way: for how long, its last value, after how many updates, on which machine."""
    interim = trial.intermediate_values
    value = f"{standing.value:.4g} after {max(interim)}" if interim else "no value yet"
    clock = timedelta(seconds=round(_seconds(trial)))
    return f"{title(standing, plan)}  {clock}  {value}  on {standing.record.get('owner', {}).get('host', '?')}"


def line(standing: Standing, plan: Plan) -> str:
    """What came of a run."""
    found = standing.record
    if standing.state == "failed":
        return f"{title(standing, plan)}: failed: {found.get('error', 'its process died again and again')}"
    if standing.state == "pruned":
        return f"{title(standing, plan)}: pruned"
    test = "" if standing.state == "diverged" else f", {found['measure']} {found['test']:.4g}"
    told = f"{standing.state}, {found['verdict']}{test} in {found['seconds']:.0f} s on {found['owner']['host']}"
    return f"{title(standing, plan)}: {told}"


def _seconds(trial: FrozenTrial) -> float:
    start = trial.datetime_start or datetime.now()
    return ((trial.datetime_complete or datetime.now()) - start).total_seconds()
