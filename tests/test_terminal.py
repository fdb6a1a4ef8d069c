"""With --json a command prints one JSON object, the same rows as its tables, and nothing else on standard output."""

import argparse
import ctypes
import json
import logging
import math
import pkgutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from study.ask import command, finding
from study.bench import loader, regularizers
from study.errors import ConfigError
from study.models.sizing import Size
from study.reproduce import __main__ as reproducing
from study.reproduce import rerun
from study.reproduce.compare import Deviation, RunComparison
from study.reproduce.differences import Difference
from study.sweep.planning.estimate import Cost, Estimate
from study.terminal import plain, printer, printing, table, takes_json
from study.tracking.reader import Logged
from study.verify import __main__ as verifying
from study.verify.check import Check

LOGGED = Logged("", "", "", "a" * 32, "gru", "FINISHED", {}, {}, {})


@pytest.fixture
def both(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, Any]]:
    """Runs a command that reads `sys.argv` as text and as JSON; gives what it printed, and what it parses to."""

    def run(main: Callable[[], Any], *arguments: str) -> tuple[str, Any]:
        found = []
        for flag in ([], ["--json"]):
            monkeypatch.setattr(sys, "argv", ["command", *arguments, *flag])
            try:
                main()
            except SystemExit as end:
                assert not end.code  # noqa: PT017, a command ends so
            found.append(capsys.readouterr().out)
        return found[0], json.loads(found[1])

    return run


def rows_of(text: str, *words: str) -> int:
    """How many lines begin with one of some words."""
    return sum(line.strip(" │").startswith(words) for line in text.splitlines())


PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]
PARSED = {name: main for name, main in PROJECT["scripts"].items() if name not in ("study-train", "study-sweep")}
"""Commands by argparse; signals to the others are sent in tests of runs and sweeps."""


@pytest.mark.parametrize("script", sorted(PARSED))
def test_a_ctrl_c_ends_a_command_with_a_line_and_the_code_of_shells(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", interrupt)
    with pytest.raises(SystemExit) as end:
        pkgutil.resolve_name(PARSED[script])()
    assert end.value.code == 130
    assert capsys.readouterr().err == "Interrupted\n"


def test_json_has_numbers_and_null_for_what_is_not_finite() -> None:
    given = {"a": np.float32(0.5), "b": [math.nan, math.inf, None], "c": np.int64(3), "d": Path("x"), "e": True}
    assert plain(given) == {"a": 0.5, "b": [None, None, None], "c": 3, "d": "x", "e": True}


def test_a_cell_without_its_number_is_a_dash_and_control_characters_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    records: list[dict[str, Any]] = [{"name": "[red]a\x1b[2J", "value": None}, {"name": "b", "value": 2.0}]
    with printing(False) as out:
        out.show("rows", records, table(records, {"name": "{name}", "value": "{value:.1f}"}))
    text = capsys.readouterr().out
    assert "[red]a�[2J" in text
    assert "-" in text
    assert "2.0" in text


def test_words_go_to_standard_error_and_a_refusal_prints_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    def refused() -> None:
        with printing(True):
            print("a note")
            raise ConfigError("no")

    with pytest.raises(ConfigError):
        refused()
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err == "a note\n"
    assert printer().found is None  # the next command draws again


def test_what_libraries_and_other_processes_print_is_not_in_the_json(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(1, "w", closefd=False) as stdout:  # as in a process of its own
        monkeypatch.setattr(sys, "stdout", stdout)
        _print_beside_json()
    seen = capfd.readouterr()
    assert json.loads(seen.out) == {"found": 1}
    assert all(f"a {who}\n" in seen.err for who in ("logger", "library", "process"))


def _print_beside_json() -> None:
    logger = logging.StreamHandler(sys.stdout)  # set up before the command looks at its arguments
    with printing(True) as out:
        logger.emit(logging.makeLogRecord({"msg": "a logger"}))
        ctypes.CDLL(None).puts(b"a library")
        subprocess.run(["echo", "a process"], check=True)
        out.keep(found=1)


def test_verify(both: Callable[..., tuple[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [Check("log phi", "W = 0.9 Q", -10.5, -10.5, 1e-9), Check("decay", "W = 0.5 Q", -0.7, -0.7, 1e-9, 1e-12)]
    monkeypatch.setattr(verifying, "TRUTHS", (lambda: iter(checks),))
    text, found = both(takes_json(lambda: verifying.main(sys.argv[1:])))
    assert len(found["checks"]) == rows_of(text, "log phi", "decay") == 2
    for check in found["checks"]:
        assert f"{check['expected']:.6f}" in text
        assert check["holds"] is True


@pytest.mark.parametrize(("module", "patched", "key"), [
    (loader, {"configured": lambda case: None, "speeds": lambda *_: (300.0, 100.0)}, "speeds"),
    (regularizers, {"_row": lambda *_: dict.fromkeys(regularizers.REGULARIZERS, 1.5) | {"omega": None}}, "updates"),
])  # fmt: skip
def test_benches(
    both: Callable[..., tuple[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    module: Any,
    patched: dict[str, Any],
    key: str,
) -> None:
    for name, value in patched.items():
        monkeypatch.setattr(module, name, value)
    text, found = both(module.main)
    first = next(iter(found[key][0]))
    assert rows_of(text, *{row[first] for row in found[key]}) == len(found[key]) > 0


def test_a_question_to_a_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(finding.Finding, "keep", lambda self, folder: (tmp_path / "why.html", "b" * 32))
    causes = pd.DataFrame({"cause": ["reach", "capacity"], "number": [3.0, math.nan]})
    answer = finding.Finding(
        "why", [LOGGED], "It was the reach.", "One run.", [], {"causes": causes}, ("make fork", "To")
    )
    given = argparse.Namespace(json=True, folder=None)
    assert command.answered(given, lambda: answer) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["causes"] == [{"cause": "reach", "number": 3.0}, {"cause": "capacity", "number": None}]
    assert found["sentence"] == "It was the reach."
    assert found["runs"] == [LOGGED.run_id]
    assert found["to_do"] == "make fork"


def test_reproduce(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    circumstances = [Difference("commit", "1", "2"), Difference("threads", "1", "1")]
    first = Deviation("gradients.parquet loss", 3, 0.5, math.nan)

    def again(run: Any, restored: Any, tolerance: float, show: Any) -> rerun.Reproduction:
        show(circumstances)
        return rerun.Reproduction(run, "b" * 32, circumstances, RunComparison(10, 9, first, 0.0), "")

    monkeypatch.setattr(rerun, "rerun", again)
    monkeypatch.setattr(reproducing, "find", lambda *_: [LOGGED])
    monkeypatch.setattr(reproducing, "_restore", lambda *_: ([(LOGGED, None)], []))
    assert reproducing.main(["gru"]) == 1
    text = capsys.readouterr().out
    assert reproducing.main(["gru", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [row["what"] for row in found["circumstances"]] == ["commit", "threads"]
    assert rows_of(text, "commit", "threads") == 2
    (row,) = found["runs"]
    assert (row["identical"], row["values"], row["same"]) == (False, 10, 9)
    assert row["first_difference"] == {"key": first.key, "update": 3, "then": 0.5, "here": None}


def test_an_estimate_says_in_numbers_what_it_says_in_words() -> None:
    costs = {"gru": Cost(3.0, 1e6, Size(100, 10)), "lstm": Cost(5.0, 1e6, Size(200, 20))}
    found = Estimate(costs, {"gru": 2, "lstm": 2}, workers=2)
    assert found.record["seconds"] == 8.0
    assert found.record["arms"]["lstm"]["seconds"] == 5.0
    assert "gru: 3 s a run" in str(found)
    assert "about 0:00:08" in str(found)
    assert "about 4 MB" in str(found)
