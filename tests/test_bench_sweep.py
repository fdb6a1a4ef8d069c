"""The table of sweeps: ratios are of medians, the usual way makes the same updates, no processor time is lost."""

import json
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from study.bench import sweep
from study.bench.composed import composed
from study.bench.sweep import Job, SweepTook

BEGAN = datetime(2024, 1, 1)
JOBS = [Job(["model=gru"], 7, BEGAN, BEGAN + timedelta(seconds=1)), Job(["model=lstm"], 5, BEGAN, BEGAN)]
SWEPT = {
    1: [SweepTook(40.0, 30.0, 5.0, 30.0, 5.0), SweepTook(44.0, 30.0, 5.0, 34.0, 5.0)],
    2: [SweepTook(20.0, 30.0, 4.0, 16.0, 0.0)],
}


def test_ratios_are_of_medians_to_two_workers_and_the_usual_way_has_no_parts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, fixed = iter(SWEPT[1]), list[tuple[list[str], list[Job]]]()

    def usually(_: str, typed: list[str], jobs: list[Job]) -> SweepTook:
        fixed.append((typed, jobs))
        return SweepTook(70.0, 90.0)

    monkeypatch.setattr(sweep, "swept", lambda _, typed, n: (JOBS, next(one) if n == 1 else SWEPT[2][0]))
    monkeypatch.setattr(sweep, "usually", usually)
    monkeypatch.setattr(sys, "argv", ["sweep", "--json", "--updates", "9", "--repetitions", "2"])
    sweep.main()
    rows = {row["way"]: row for row in json.loads(capsys.readouterr().out)["ways"]}
    assert fixed == [(["trainer.max_updates=9"], JOBS)] * 2
    assert rows["one worker"]["faster"] == 42 / 20
    assert rows["one worker"]["faster_alone"] == 32 / 16
    assert rows["usual"]["faster"] == 70 / 20
    assert rows["usual"]["cheaper"] == 90 / 30
    assert rows["usual"]["faster_alone"] is None
    assert {row["updates"] for row in rows.values()} == {12}


def test_the_usual_way_is_asked_for_the_updates_that_the_sweep_made(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def spent(_: list[str], folder: str, entered: str) -> tuple[float, float]:
        asked.extend(json.loads(entered))
        return 1.0, 2.0

    monkeypatch.setattr(sweep, "spent", spent)
    sweep.usually("tour", ["trainer.max_updates=9", "tracking.points=50"], JOBS)
    configs = [composed(*overrides) for overrides in asked]
    assert [(config.model.name, config.trainer.max_updates, config.slug) for config in configs] == [
        ("gru", 7, "tour"),
        ("lstm", 5, "tour"),
    ]


def test_the_time_of_processes_that_outlive_a_command_is_counted() -> None:
    busy = "import time; until = time.process_time() + .3\nwhile time.process_time() < until: pass"
    leaving = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {busy!r}])"
    imported = "import sys; from study.bench.commands import spent"
    timed = f"{imported}; print(spent([sys.executable, '-c', {leaving!r}], '.').cpu)"
    found = subprocess.run(
        [sys.executable, "-c", timed], capture_output=True, text=True, check=True
    )  # it adopts orphans
    assert float(found.stdout) > 0.3
