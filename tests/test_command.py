"""The command line: refusals are one message and exit code 2, before anything is trained or logged."""

import logging
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from study import train
from study.command.arguments import budgets_in_files, describe_budget, prepared, quote, settled
from study.installation import CONF
from study.schema.defaults import options


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of the test's own, no store named but the default one in it; what Hydra logs to is closed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # restored afterwards: the command sets it
    yield
    for handler in [*logging.root.handlers]:
        if isinstance(handler, logging.FileHandler) or type(handler) is logging.StreamHandler:
            logging.root.removeHandler(handler)
            handler.close()


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
    assert started.count("\n") <= 2  # what is about to be trained, where the data were at fault
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
    "task=[forecasting_stocks,nonsense]": "task = [forecasting_stocks,nonsense]: no such option",
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


@pytest.mark.parametrize("typed", [["--cfg", "job"], ["--info", "defaults"]])
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


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("clip=null", "clip = null: no such option; none does without (allowed: "),
        ("model={a:1}", "model: an option is chosen by its name"),
        ("slug=..", "slug = '..': names a folder"),
        ("slug=../x", "slug = '../x': names a folder"),
        ("-m slug=a/b", "slug = 'a/b': names a folder"),
        ("-m seed=1,abc", "seed = 'abc': a whole number is needed"),
        ("-m seed=interval(1,5)", "seed = 'interval(1,5)': a whole number is needed"),
        ("-m optimizer.lr=range(1,2,0)", "optimizer.lr=range(1,2,0): a range has finite ends, and steps other than 0"),
        ("-m optimizer.lr=range(1,1)", "optimizer.lr=range(1,1): leaves no value"),
        ("-m sweep.arms=[{model:null}]", "model = null: no such option"),
        ("-m hydra/sweeper=basic", "hydra/sweeper=basic: the runs of a sweep are planned by hydra/sweeper=study"),
        ("--run --multirun", "--run and --multirun: one of them at a time"),
        ("=1", "Hydra cannot use what was typed"),
        ("hydra.job_logging=none", "hydra.job_logging=none Cannot assign str"),
        ("task=forecasting_csv", "task.path: a value is needed"),
        ("-m task=forecasting_csv task.path=no.csv task.targets=[y]", "task.path = 'no.csv': there is no file"),
        ("-m sweep.storage=sqlite:////nowhere/x.db", "sweep.storage = 'sqlite:////nowhere/x.db'"),
        ("-m tracking.uri=nonsense", "tracking.uri = 'nonsense'"),
        ("model.hidden_size=1000000", "model.hidden_size = 1000000: should be less than or equal to 65536"),
        ("trainer.max_updates=null", "trainer: the budget is either"),
        ("trainer.devices=2", "trainer.devices: no such key; a run is one process on one device"),
        ("+trainer.precision=16-mixed", "trainer.precision: no such key; it is always 32-true"),
        ("trainer.callbacks=[1]", "trainer.callbacks.0"),
        ("trainer.callbacks=[nowhere.Mine]", "trainer.callbacks = 'nowhere.Mine': ModuleNotFoundError"),
        ("trainer.callbacks=[pathlib.Path]", "a subclass of pytorch_lightning.Callback is needed"),
    ],
)
def test_what_hydra_or_lightning_would_answer_with_a_traceback_is_one_line(
    typed: str, expected: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    message = refused(monkeypatch, capfd, *typed.split())
    assert expected in message


def test_the_last_budget_typed_replaces_all_others() -> None:
    known = {"trainer.max_updates": 1000, "trainer.max_epochs": None}
    for typed, kept, note in [
        (["seed=1"], ["seed=1"], ""),
        (["trainer.max_updates=5"], ["trainer.max_updates=5"], ""),
        (
            ["trainer.max_epochs=2", "seed=1"],
            ["trainer.max_epochs=2", "trainer.max_updates=null", "seed=1"],
            "The budget is trainer.max_epochs=2, in place of trainer.max_updates=1000.",
        ),
        (
            ["trainer.max_epochs=2", "--cfg", "job"],
            ["trainer.max_epochs=2", "trainer.max_updates=null", "--cfg", "job"],  # after an option Hydra takes none
            "The budget is trainer.max_epochs=2, in place of trainer.max_updates=1000.",
        ),
        (
            ["trainer.max_epochs=2", "trainer.max_steps=9"],
            ["trainer.max_steps=9", "trainer.max_updates=null"],
            "The budget is trainer.max_steps=9, in place of trainer.max_updates=1000 and trainer.max_epochs=2.",
        ),
        (
            ["trainer.max_epochs=2", "trainer.max_updates=null"],
            ["trainer.max_epochs=2", "trainer.max_updates=null"],
            "",
        ),
    ]:
        assert settled(typed, known) == kept
        assert settled(kept, known) == kept
        assert describe_budget(typed, known) == note
    assert budgets_in_files(["experiment=truncation_bias", "trainer.max_epochs=1"])["trainer.max_steps"] == 67200


def test_a_budget_that_is_typed_replaces_that_of_an_experiment_in_a_folder_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("trainer: {max_updates: null, max_steps: 900}\n")
    for option in (["-cd", str(tmp_path)], [f"--config-dir={tmp_path}"]):
        found = budgets_in_files([*option, "experiment=mine", "trainer.max_epochs=1"])
        assert (found["trainer.max_updates"], found["trainer.max_steps"]) == (None, 900)


def test_a_path_is_quoted_where_there_is_such_a_file(tmp_path: Path) -> None:
    (tmp_path / "a (1)=x.csv").touch()
    assert prepared(["task.path=a (1)=x.csv", "seed=1"]) == ['task.path="a (1)=x.csv"', "seed=1"]
    assert prepared(["task.path=b (1).csv"]) == ["task.path=b (1).csv"]
    (tmp_path / "preços.csv").touch()
    assert prepared(["task.path=preços.csv"]) == ['task.path="preços.csv"']


def test_help_lists_every_option_without_hydra(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train", "--help"])
    train.main()
    page = " ".join(capfd.readouterr().out.split())
    for group in (path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"):
        assert f"{group.name} {', '.join(options(group.name))}" in page


def test_the_experiment_that_mlflow_names_is_the_slug_of_what_has_none(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    for typed, slug in (([], "mine"), (["slug=own"], "own")):
        GlobalHydra.instance().clear()
        monkeypatch.setattr(sys, "argv", ["train", "--cfg", "job", "--resolve", *typed])
        with suppress(SystemExit):
            train.main()
        assert f"\nslug: {slug}\n" in capfd.readouterr().out
    assert "MLFLOW_EXPERIMENT_NAME = 'mine' is not used" in said_before_a_refusal(monkeypatch, capfd)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "a b")
    assert refused(monkeypatch, capfd).endswith("it comes from MLFLOW_EXPERIMENT_NAME")


def said_before_a_refusal(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    """Everything on stderr of a sweep with a slug of its own that is refused later."""
    GlobalHydra.instance().clear()
    monkeypatch.setattr(sys, "argv", ["train", "-m", "slug=own", "seed=abc"])
    with suppress(SystemExit):
        train.main()
    return capfd.readouterr().err
