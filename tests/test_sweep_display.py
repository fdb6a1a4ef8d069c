"""The display of a sweep while it runs, and its summary at the end."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from optuna import Trial
from rich.console import Console

from study.report.data.differences import Differences
from study.schema import Config
from study.sweep.planning.grammar import Dimension
from study.sweep.planning.plan import Arm, Plan
from study.sweep.summary import PLUS_MINUS, best_of_arms, note_lines, power_lines, table
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.storage import open_study
from study.sweep.workers import display

pytestmark = pytest.mark.usefixtures("stores")
RECORD = {
    "outcome": "completed", "verdict": "healthy", "measure": "rmse", "test": 0.25, "baseline": 1.0, "half_life": 3.0,
    "seconds": 2.0,
}  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path, configure: Callable[..., Config]) -> Iterator[Ledger]:
    """The ledger of a search of two arms in the middle of its work."""
    config = configure()
    arms = {name: Arm("", {"model": name}, name, {}, config) for name in ("elman", "lstm")}
    plan = Plan([], arms, {"optimizer.lr": Dimension("optimizer.lr", 0.1, 1.0)}, 3, [0])
    with open_study(f"sqlite:///{tmp_path}/optuna.db", "slug", "minimize") as study:
        yield Ledger(study, plan)


def begin(ledger: Ledger, arm: str) -> Trial:
    """Claim a trial of an arm."""
    kept = []
    while (trial := ledger.claim()) and trial.user_attrs["cell"]["arm"] != arm:
        kept.append(trial)
    for other in kept:
        ledger.fail(other, {"interrupted": True})
    assert trial is not None
    trial.suggest_float("optimizer.lr", 0.1, 1.0)
    return trial


def shown(ledger: Ledger) -> str:
    page = io.StringIO()
    Console(file=page, width=200).print(display.render(ledger.statuses(), ledger.plan, ledger.sign))
    return page.getvalue()


def test_the_display_tells_counts_the_best_of_each_arm_and_of_runs_under_way_their_last_value_and_host(ledger):
    for value in (0.5, 0.3):
        ledger.finish(begin(ledger, "elman"), value, RECORD)
    ledger.fail(begin(ledger, "lstm"), {"error": "ValueError: no"})
    trial = begin(ledger, "lstm")
    assert "no value yet" in shown(ledger)
    for step, value in ((10, 0.9), (20, 0.7)):
        trial.report(value, step)
    page = shown(ledger)
    assert "3/8 runs" in page
    assert "1 running  2 completed  0 diverged  0 pruned  1 failed" in page
    assert "left" in page
    best = next(line for line in page.splitlines() if "best:" in line)
    assert "best: elman trial" in best
    assert best.rstrip().endswith(": 0.3")
    assert f"0.7 after 20  on {trial.user_attrs['owner']['host']}" in page
    assert "failed: ValueError: no" in page


def test_without_a_terminal_every_run_that_ends_is_one_plain_line(ledger, capsys):
    ledger.finish(begin(ledger, "elman"), 0.5, RECORD)
    with display.Display(ledger) as screen:
        screen.show()
        assert capsys.readouterr().out == ""  # ended before this command
        ledger.finish(begin(ledger, "lstm"), 0.4, RECORD)
        screen.show()
        screen.show()
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert said.startswith("[2/8] lstm trial")
    assert "\x1b" not in said


def test_the_best_of_each_arm_is_listed_as_markdown_trials_apart_from_what_counts(ledger):
    while trial := ledger.claim():
        lr = trial.suggest_float("optimizer.lr", 0.1, 1.0)
        ledger.finish(trial, lr, RECORD)
    text = best_of_arms(ledger)
    assert text.count("- best: ") == 2
    assert text.count("| rmse 0.2500 |") == 2
    assert "| elman |" in text


def test_a_diverged_run_has_no_part_in_the_mean_of_its_arm(ledger, capsys):
    diverged = {**RECORD, "outcome": "diverged", "verdict": "exploding", "test": 1e9}
    while trial := ledger.claim():
        ledger.finish(trial, trial.suggest_float("optimizer.lr", 0.1, 1.0), RECORD if trial.number else diverged)
    text = best_of_arms(ledger)
    assert "1e+09" not in text
    alone = Plan([], {"elman": ledger.plan.arms["elman"]}, {}, 0, [1])
    with display.Display(other := Ledger(ledger.study, alone)) as screen:
        trial = other.claim()
        assert trial is not None
        other.finish(trial, 9.0, diverged)
        screen.show()
    assert "1e+09" not in capsys.readouterr().out
    assert "| - | 1 | - | exploding | - | diverged |" in best_of_arms(other)


def test_what_must_be_known_of_the_data_is_said_once_for_a_task(ledger: Ledger) -> None:
    finished = Ledger(ledger.study, Plan([], ledger.plan.arms, {}, 0, [0]))
    while trial := finished.claim():
        finished.finish(trial, 1.0, {**RECORD, "notes": ["2 labels are new on test."]})
    task = finished.plan.arms["elman"].config.task.name
    assert note_lines(finished) == [f"{task}: 2 labels are new on test."]
    assert note_lines(Ledger(ledger.study, Plan([], ledger.plan.arms, {}, 0, [1]))) == []  # none was made


def test_at_the_end_of_several_seeds_the_smallest_difference_that_could_be_shown_is_told(ledger: Ledger) -> None:
    plan = Plan([], ledger.plan.arms, {}, 0, [0, 1, 2])
    values = {"elman": [1.0, 2.0, 3.0], "lstm": [1.1, 2.4, 3.1]}
    finished = Ledger(ledger.study, plan)
    assert power_lines(finished) == []
    while trial := finished.claim():
        cell = trial.user_attrs["cell"]
        finished.finish(trial, 1.0, {**RECORD, "test": values[cell["arm"]][cell["seed"]]})
    (line,) = power_lines(finished)
    study = Differences(np.array([values["elman"], values["lstm"]]))
    assert "What this study can show, 2 arms at 3 seeds" in line
    assert "| elman | rmse 2.0 ± 2.5 |" in best_of_arms(finished)  # Student's t: 4.303 / sqrt(3)
    assert table(finished).caption == PLUS_MINUS
    assert f"called shown from {study.critical(3):.2g} on" in line
