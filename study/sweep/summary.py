"""The summary at the end of a sweep: a table of its arms, and its failed runs."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from rich.table import Table

from study import terminal
from study.installation import about
from study.report.data.differences import Differences
from study.report.data.statistics import mean_interval
from study.report.data.wording import format_interval, format_power
from study.schema.budget import Reading, compare_readings, mean_reading
from study.standing import in_words
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.status import MADE, CellStatus
from study.sweep.workers.display import best_lines, ending, format_ended
from study.tracking.outcomes import LOST

PLUS_MINUS = "± is half of the 95% interval of the mean over seeds (Student's t)."
COLUMNS = ("run", "test", "naive", "best opponent", "verdict", "half-life", "outcome", "steps read", "seconds")


def table(ledger: Ledger) -> Table:
    """One row an arm over its seeds, without search trials, which were made to choose a winner, not to measure it."""
    by_arm, names = _counting(ledger), ledger.plan.names
    rows = [dict(zip(COLUMNS, (name, *_row(by_arm[arm])), strict=True)) for arm, name in names.items() if by_arm[arm]]
    caption = PLUS_MINUS if any(len(runs) > 1 for runs in by_arm.values()) else None
    return terminal.table(rows, {c: f"{{{c}}}" for c in COLUMNS}, box=None, header_style="bold", caption=caption)


def arm_records(ledger: Ledger) -> list[dict[str, Any]]:
    """The same arms for a program: their runs one by one, as the ledger keeps them."""
    runs = [
        status.record | {"arm": ledger.plan.names[status.cell.arm], "seed": status.cell.seed}
        for status in _made(ledger)
        if status.cell.arm in ledger.plan.names
    ]
    names = list(ledger.plan.names.values())
    return sorted(runs, key=lambda run: (names.index(run["arm"]), run["seed"]))


def best_of_arms(ledger: Ledger) -> str:
    """The best so far as Markdown: the best trial of every search, and every arm over its seeds."""
    by_arm = _counting(ledger)
    trials = [f"- {best}" for best in best_lines(ledger.statuses(), ledger.plan, ledger.sign)]
    rows = [f"| {name} | {' | '.join(_row(by_arm[arm]))} |" for arm, name in ledger.plan.names.items() if by_arm[arm]]
    head = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"] if rows else []
    return "\n".join([*trials, "", *head, *rows])


def power_lines(ledger: Ledger) -> list[str]:
    """A line for every task whose arms are compared at several seeds: how small a difference they can show."""
    by_task: dict[str, list[list[float]]] = defaultdict(list)
    kept = [s for s in _made(ledger) if s.state == "completed" and s.record["outcome"] not in LOST]
    values = {(s.cell.arm, s.cell.seed): s.record["test"] for s in kept}
    for arm in ledger.plan.arms.values():
        row = [values.get((arm.digest, seed), math.nan) for seed in ledger.plan.seeds]
        by_task[arm.config.task.name].append(row)
    lines = {task: format_power(Differences(np.array(rows))) for task, rows in by_task.items()}
    return [f"{task}: {line}" for task, line in lines.items() if line]


def reading_lines(ledger: Ledger) -> list[str]:
    """A line for every task whose arms have read unequal amounts; diverged runs, which stopped early, do not count."""
    by_task: dict[str, dict[str, list[Reading]]] = defaultdict(lambda: defaultdict(list))
    for status in _made(ledger):
        arm, found = ledger.plan.arms[status.cell.arm], status.record
        if status.state == "completed" and "steps" in found:
            read = Reading(found["run_updates"], found["steps"])
            by_task[arm.config.task.name][ledger.plan.names[status.cell.arm]].append(read)
    means = {task: {name: mean_reading(read) for name, read in arms.items()} for task, arms in by_task.items()}
    return [f"{task}: {line}" for task, arms in means.items() if (line := compare_readings(arms))]


def note_lines(ledger: Ledger) -> list[str]:
    """What a reader of the measures must know of the data, task by task."""
    found = ((ledger.plan.arms[s.cell.arm].config.task.name, s.record.get("notes", ())) for s in _made(ledger))
    return list(dict.fromkeys(f"{task}: {note}" for task, notes in found for note in notes))


def next_question(ledger: Ledger) -> str:
    """What to type next: to ask the first run that was lost or learned nothing why, else to see that runs repeat."""
    poor = (*LOST, "learned nothing")
    asked = next((s for s in _made(ledger) if s.record["outcome"] in poor and "run_id" in s.record), None)
    if asked is None:
        return f"Next: `{about('reproduce', ledger.study.study_name)}` makes its runs again and compares every number."
    name = ledger.plan.name(asked.cell)
    return f"Next: `{about('why', asked.record['run_id'])}` asks why {name} {_became(asked.record['outcome'])}."


def _became(outcome: str) -> str:
    return {"ruined": "was ruined"}.get(outcome, outcome)


def failures(ledger: Ledger) -> list[str]:
    """A line for every failed run, with its error."""
    return [format_ended(status, ledger.plan) for status in ledger.statuses() if status.state == "failed"]


def _counting(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """The records of the runs that count, by arm."""
    by_arm: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for status in _made(ledger):
        by_arm[status.cell.arm].append(status.record)
    return by_arm


def _made(ledger: Ledger) -> list[CellStatus]:
    """The runs that count."""
    return [status for status in ledger.statuses() if status.state in MADE and status.cell.phase != "search"]


def _row(runs: list[dict[str, Any]]) -> list[str]:
    """The cells of one arm; means leave out runs that were lost, whose networks are nothing to measure."""
    ended = [run for run in runs if run["outcome"] not in LOST]
    test = [run["test"] for run in ended]
    return [
        f"{runs[0]['measure']} {format_interval(mean_interval(test))}" if test else "-",
        f"{statistics.fmean(run['baseline'] for run in runs):.4g}",
        _opponent(ended),
        _count(run["verdict"] for run in runs),
        f"{statistics.fmean(run['half_life'] for run in ended):.1f}" if ended else "-",
        _count(map(ending, runs)),
        f"{statistics.fmean(run['steps'] for run in ended):.3g}" if ended and "steps" in ended[0] else "-",
        f"{statistics.fmean(run['seconds'] for run in runs):.0f}",
    ]


def _opponent(ended: list[dict[str, Any]]) -> str:
    """Where the mean of an arm stands against the best opponent; runs of older versions have none."""
    known = [run for run in ended if "opponent" in run]
    if not known:
        return "-"
    stands = in_words(statistics.fmean(run["skill"] for run in known))
    return f"{stands} {known[0]['opponent_name']} ({known[0]['opponent']:.4g})"


def _count(words: Iterable[str]) -> str:
    counts = Counter(words)
    return next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {word}" for word, n in counts.most_common())
