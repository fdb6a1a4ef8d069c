"""The command line: refusals are one message and exit code 2, before anything is trained or logged."""

import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from study import train
from study.command.arguments import quote
from study.installation import CONF


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the test's own, and no store named but the default one in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # restored afterwards: the command sets it


def refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *typed: str) -> str:
    """What the command prints when it refuses; nothing must have been logged."""
    GlobalHydra.instance().clear()
    monkeypatch.setattr(sys, "argv", ["train", *typed])
    with pytest.raises(SystemExit) as stop:
        train.main()
    captured = capfd.readouterr()
    assert stop.value.code == 2
    assert captured.out == ""
    assert not [*Path.cwd().glob("*.db"), *Path.cwd().glob("outputs")]
    started, headline, message = captured.err.partition("The configuration cannot be used:\n")
    assert headline
    assert started.count("\n") <= 1  # what is about to be trained, where the data were at fault
    assert "Traceback" not in message
    return message.strip()


CASES = {
    "modle=lstm": "modle: no such key; did you mean 'model'?",
    "model=lstn": "model = 'lstn': no such option; did you mean 'lstm'? (allowed: ",
    "model=": "model = '': no such option (allowed: ",
    "experiment=toor": "experiment = 'toor': no such option; did you mean 'tour'?",
    "bptt.k2=5 bptt.k1=9": "bptt: k1=9 must not exceed k2=5",
    "bptt.k3=4": "bptt.k3: no such key; did you mean 'bptt.k2'?",
    "model.hidden_size=abc": "model.hidden_size = 'abc': should be a valid integer",
    "model=lstm model.activation=tanh": "model.activation: no such key here; it needs another choice of model",
    "clip.threshold=3": "clip.threshold: no such key here; it needs another choice of clip: add clip=norm",
    "task=[forecasting_stocks,nonsense]": "Could not load 'task/nonsense'",
    "no-equals-sign": "no-equals-sign: write key=value",
    "task=forecasting_csv task.path=a(1).csv": "task.path = 'a(1).csv': Hydra cannot read this value",
    "seed=1,2": "seed = '1,2': a comma separates values: [a,b] is a list, and --multirun makes a run of each",
    "data.carriers=/nowhere": "data.carriers = '/nowhere'",
    "trainer.accelerator=cuda": "trainer.accelerator = 'cuda'",
    "tracking.uri=nonsense": "tracking.uri = 'nonsense'",
    "task=language_bible_char task.batch_size=5000000": "task.batch_size = 5000000",
}


@pytest.mark.parametrize("typed", CASES)
def test_what_cannot_be_used_is_told_in_words_with_exit_code_2(
    typed: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    message = refused(monkeypatch, capfd, *typed.split())
    assert CASES[typed] in message
    assert "Config search path" not in message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("seeed: 7", "seeed: no such key; did you mean 'seed'?"),
        ("model: {hiden_size: 7}", "model.hiden_size: no such key; did you mean 'hidden_size'?"),
        ("bptt: {k2: 5, k1: 9}", "bptt: k1=9 must not exceed k2=5"),
    ],
)
def test_a_mistake_in_an_experiment_file_is_refused_too(
    line: str, expected: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "own" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"# @package _global_\nslug: mine\n{line}\n")
    message = refused(monkeypatch, capfd, "experiment=mine", f"hydra.searchpath=[file://{file.parents[1]}]")
    assert expected in message


AWKWARD = [
    "a (1).csv",
    "x=1.csv",
    "{b}.csv",
    "x, y.csv",
    "a,b",
    "[a].csv",
    "it's.csv",
    'q"q.csv',
    "käse & brot.csv",
]
AWKWARD += ['it\'s "so" (2).csv', "back\\slash (1).csv", "(\\'", '\\" (', "a#b(c)"]


@pytest.mark.parametrize("path", AWKWARD)
def test_a_path_that_hydra_cannot_read_is_refused_with_how_to_quote_it(
    path: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    message = refused(monkeypatch, capfd, "task=forecasting_csv", "task.targets=[y]", f"task.path={path}")
    (quoted,) = shlex.split(message.partition("quote it for Hydra too: ")[2])
    message = refused(monkeypatch, capfd, "task=forecasting_csv", "task.targets=[y]", quoted)
    assert message == f"task.path = {path!r}: there is no file {tmp_path / path}"


@pytest.mark.parametrize(("value", "meant"), [("[Close (USD),b]", ["Close (USD)", "b"]), ("[Schluß]", ["Schluß"])])
def test_a_list_that_hydra_cannot_read_is_refused_with_how_to_quote_its_texts(
    value: str, meant: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    message = refused(monkeypatch, capfd, "task=forecasting_csv", f"task.targets={value}")
    (quoted,) = shlex.split(message.partition("in a list for Hydra too: ")[2])
    (override,) = OverridesParser.create().parse_overrides([quoted])
    found = override.value()
    assert [str(getattr(item, "text", item)) for item in found] == meant  # type: ignore[union-attr]


def test_home_is_expanded_where_a_value_starts(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    message = refused(monkeypatch, capfd, "task=forecasting_csv", "task.targets=[y]", "task.path=~/nowhere.csv")
    assert message.endswith(f"there is no file {Path.home() / 'nowhere.csv'}")
    assert "'own~/x'" in refused(monkeypatch, capfd, "task=language_text", "task.path='own~/x'")


def test_a_folder_of_own_experiments_is_named_by_cd(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "own" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\nseed: wrong\n")
    assert "seed = 'wrong'" in refused(monkeypatch, capfd, "-cd", "own", "experiment=mine")
    assert "folder' not found" in refused(monkeypatch, capfd, "-cd", "no-such-folder")


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(composed: object) -> None:
        raise ZeroDivisionError("a defect")

    GlobalHydra.instance().clear()
    monkeypatch.setattr(train, "validate", defect)
    monkeypatch.setattr(sys, "argv", ["train"])
    with pytest.raises(ZeroDivisionError, match="a defect"):
        train.main()


def test_a_refusal_reaches_the_shell_as_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "study.train", "model=lstn", f"hydra.run.dir={tmp_path}"]
    done = subprocess.run(command, cwd=CONF.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    (message,) = done.stderr.splitlines()[1:]
    assert message.startswith("model = 'lstn': no such option; did you mean 'lstm'? (allowed: ")


@pytest.mark.parametrize("typed", [["--help"], ["--cfg", "job"], ["--info", "defaults"]])
def test_it_is_a_normal_hydra_application(
    typed: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    GlobalHydra.instance().clear()
    monkeypatch.setattr(sys, "argv", ["train", *typed])
    with suppress(SystemExit):
        train.main()
    assert "bptt" in capfd.readouterr().out


@pytest.mark.parametrize("text", [*AWKWARD, "${x}", "a ${y} b", "ends in \\", "\\\\", "plain"])
def test_a_quoted_text_is_read_back_by_hydra(text: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"key={quote(text)}"])
    assert OmegaConf.create({"key": override.value()}).key == text
