"""Claims about `study-look`: the kind of a file, what is seen in it, and a command that runs as it is printed."""

import json
import shlex
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from study import tasks
from study.installation import CONF
from study.look.__main__ import in_words, look, main
from study.look.kind import kind_of
from study.schema import validate
from tests import samples
from tests.delivered import VENDORS
from tests.test_data_corpora import ROWS
from tests.test_data_tables import AMBIGUOUS

REST = "\t_" * 6
CONLLU = f"# text = a b\n1\ta\ta\tDET{REST}\n2\tb\tb\tNOUN{REST}\n\n" * 30
FILES = {
    "AAPL (1).csv": ("series", VENDORS["yfinance with a header of three lines"].content),
    "a=b, $1 'x'.csv": ("series", VENDORS["UCI, air quality"].content),
    "fred": ("series", VENDORS["FRED"].content),
    "plain": ("series", VENDORS["no time at all"].content),
    "own.conllu": ("labels", CONLLU),
    "columns": ("labels", (ROWS + "\n") * 20),
    "few": ("labels", "a X\nb Y\n\n" * 5),
    "brown": ("labels", "The/at jury/nn said/vbd ./.\n" * 30),
    "own.txt": ("text", "To be, or not to be, that is the question.\n" * 60),
    "short.txt": ("text", "To be, or not to be, that is the question.\n" * 4),
}


def overrides(command: str) -> list[str]:
    """What a printed command hands to Hydra."""
    words = shlex.split(command)
    return shlex.split(words[-1].removeprefix("ARGS=")) if words[0] == "make" else words[1:]


@pytest.mark.parametrize("name", FILES)
def test_the_command_that_is_printed_builds_the_task(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, content = FILES[name]
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    assert kind_of(file) == kind
    seen = look(file)
    assert not seen.refused
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = validate(compose("train", overrides(seen.command)))
    task = tasks.build(config.task, config.data, 0)
    assert task.batches("train").size


def test_what_is_seen_is_what_training_reads(tmp_path: Path) -> None:
    made = VENDORS["investing.com, USA"]
    samples.put(tmp_path / "own.csv", made.content)
    seen = look(tmp_path / "own.csv")
    said = in_words(tmp_path / "own.csv", seen)
    for words in (
        "separator        comma",
        "rows             40",
        "2024-01-01",
        "number 1180.0",
        "turned round",
        "%m/%d/%Y",
    ):
        assert words in said
    samples.put(tmp_path / "own.txt", (ROWS + "\n").replace(" ", "\t") * 10)
    facts = look(tmp_path / "own.txt", "labels").facts
    assert facts["scheme"] == "IOB2"
    assert facts["labels"] == {"B-LOC": 10, "I-LOC": 10, "O": 10, "B-ORG": 10}
    assert facts["longest sentence"] == 3


def test_what_would_be_refused_is_said_with_its_reason_and_there_is_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    samples.put(tmp_path / "own.csv", AMBIGUOUS)
    monkeypatch.setattr(sys, "argv", ["study-look", str(tmp_path / "own.csv"), "--json"])
    with pytest.raises(SystemExit) as exit_code:
        main()
    assert exit_code.value.code == 2
    found = json.loads(capsys.readouterr().out)
    assert "task.date_format=%d/%m/%Y or task.date_format=%m/%d/%Y" in found["refused"]
    assert found["command"] == ""
    assert [column["name"] for column in found["columns"]] == ["date", "y"]


@pytest.mark.parametrize(
    ("content", "why"), [("date,y\n", "0 rows under"), ("1.5\n" * 9, "first line looks like data")]
)
def test_a_table_without_rows_or_names_is_refused(content: str, why: str, tmp_path: Path) -> None:
    samples.put(tmp_path / "own.csv", content)
    assert why in look(tmp_path / "own.csv").refused


def test_a_file_that_is_not_there_is_one_readable_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["study-look", "nowhere.csv"])
    with pytest.raises(SystemExit) as exit_code:
        main()
    assert exit_code.value.code == 2
    assert capsys.readouterr().err.startswith("The file cannot be read:\nFILE = 'nowhere.csv': there is no file")
