"""Every block of code in README.md, CONTRIBUTING.md and docs/*.md works as it stands there.

How a block is checked follows from its language:

- `python`: run. The blocks of a page share one namespace, from top to bottom, in a fresh folder; the store has one run,
  of the slug `tour`, and `<id>` is it. With a name after the language (`python cell.py`) the block is written to
  that file too. `python sketch`, of what would change the project or take long, has to parse and no more.
- `sh`, and an indented block that begins with a command: every line is looked up. `make` has the target and uses the
  variables; `study-...`, `python -m ...` and what make would run exist, with the options that are given; overrides are
  composed and checked, of several values each. `RUN=...` and `<...>` stand for a run, `mine` for the new member of a
  recipe. Experiments and files of all pages are there, by the `slug` of a `yaml` block and as `python cell.py` says.
- `yaml`: an experiment, or the `sweep` section of one: it is planned.
- Everything else, such as `text`, is not looked at. An indented block must not be Python: it is to be fenced.

Budgets are cut in one place, `cut`: Python that says `max_updates=...` makes 3 updates.
"""

import ast
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import mlflow
import pytest
import yaml
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from study.ask.clips import wanted
from study.command.arguments import budgets_in_files, prepared, settled
from study.errors import ConfigError
from study.installation import CONF
from study.schema import SweepingConfig, check, validate
from study.sweep.planning.build import build_plan
from study.sweep.planning.composer import Composer
from study.sweep.planning.grammar import spelled
from study.train import train
from tests.composed import composed
from tests.pages import PAGES, ROOT, Block, blocks

OURS = ("make ", "study-", ".venv/bin/", "python ", "git clone ")
"""What an indented block of commands begins with."""
OTHERS = {"git", "cd", "createdb", "export", "pip", "mlflow", "optuna-dashboard", "python3"}
"""Commands that are not the project's."""
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
OVERRIDDEN = {"study.train", "study.sweep", "study.ask.fork", "study.reproduce", "study.findings"}
"""What takes overrides."""
RUN = "0123abcd"
TINY = (
    "task=forecasting_adding", "task.sequences=64", "task.held_out=16", "task.seq_len=12", "model.hidden_size=3",
    "trainer.max_updates=4", "trainer.progress_bar=false", "clip=norm", "slug=tour",
)  # fmt: skip
"""The run in the store."""


def language(block: Block) -> str:
    """Of an indented block by how it begins."""
    begins = {"sh": OURS, "yaml": ("# @package",)}
    return block.language or next((name for name, words in begins.items() if block.text.startswith(words)), "text")


ALL = [block for page in PAGES for block in blocks(page)]
EXPERIMENTS = [block for block in ALL if language(block) == "yaml"]
PYTHON = [page for page in PAGES if any(language(block) == "python" for block in blocks(page))]


def lines(block: Block) -> Iterator[str]:
    """Its commands: continued ones joined, those of one line apart, without comments, a run in the place of `<...>`."""
    text = re.sub(r"RUN=\.\.\.", f"RUN={RUN}", re.sub(r"<[^>]*>", RUN, block.text.replace("\\\n", " ")))
    for line in text.splitlines():
        yield from filter(None, (part.strip() for part in re.sub(r"(^|\s)#.*", "", line).split(" && ")))


COMMANDS = [(block, line) for block in ALL if language(block) == "sh" for line in lines(block)]


@pytest.fixture
def with_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files of all pages; what a command takes from the environment is there too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STUDY_DATABASE", "me@db/optuna")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://machine:5000")
    for block in (block for block in ALL if block.note.endswith(".py")):
        (tmp_path / block.note).write_text(block.text)
    return tmp_path


@pytest.mark.usefixtures("with_files")
@pytest.mark.parametrize(("block", "line"), COMMANDS, ids=[f"{block}: {line}" for block, line in COMMANDS])
def test_every_command_exists_and_takes_what_it_is_given(block: Block, line: str) -> None:
    assert look_up(line, block.page.read_text()) in line or line.startswith("make ")


@pytest.mark.usefixtures("with_files")
@pytest.mark.parametrize(
    "line",
    [
        "make trian",
        "make train ARG=model=lstm",
        "make sweep experiment=tour sweep.dry_run=true",
        'make train ARGS="model=lsmt"',
        'make sweep ARGS="model=lstm,gru clip.treshold=1"',
        "make sweep EXPERIMENT=tuor",
        'make report ARGS="--ran 0123"',
        'make what-if RUN=0123 CLIPS="nrom=.1"',
        "study-trian model=lstm",
        "python -m study.bench.cell",
        "train model=lstm",
    ],
)
def test_a_command_that_would_not_work_is_noticed(line: str) -> None:
    with pytest.raises((AssertionError, ConfigError, HydraException)):
        look_up(line, "")


def test_make_takes_the_variables_that_the_recipe_of_a_target_reads() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", "")
    (table,) = re.findall(r"^TAKES := (.*)$", makefile, re.MULTILINE)
    listed = {target: set(names) for target, *names in (entry.split(",") for entry in table.split())}
    recipes = dict(re.findall(r"^([a-z-]+):.*##.*\n((?:\t.*\n)+)", makefile, re.MULTILINE))
    assert recipes.keys() >= listed.keys()
    for target, recipe in recipes.items():
        read = {*re.findall("[A-Z]+", recipe.replace("$(either)", "RUN EXPERIMENT"))} & set().union(*listed.values())
        assert read == listed.get(target, set()), target


def look_up(line: str, page: str) -> str:
    """Check one command, as the top of this file says, and return its name.

    A script that the text of its page names is there.
    """
    words = shlex.split(line)
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    words = made(words[1:]) if words[0] == "make" else words
    name, *arguments = (words[0].removeprefix(".venv/bin/").removeprefix(".dashboard/bin/"), *words[1:])
    if name in SCRIPTS:
        check_module(SCRIPTS[name].partition(":")[0].removesuffix(".__main__"), arguments)
    elif name == "python" and arguments[0] == "-m":
        check_module(arguments[1], arguments[2:])
    elif name == "python":
        assert (ROOT / arguments[0]).is_file() or f"`{arguments[0]}`" in page
    else:
        assert name in OTHERS or (ROOT / name).exists()
    return name


def made(words: list[str]) -> list[str]:
    """The command of the project that make would run at last; `git` stands for one that is none."""
    bare = {"PATH": os.environ["PATH"]}  # not the variables with which these tests may have been made
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False, env=bare)
    assert done.returncode == 0, done.stderr
    ours = [line for line in done.stdout.splitlines() if line.startswith(".venv/bin/python -m")]
    return shlex.split(ours[-1]) if ours else ["git"]


def check_module(module: str, arguments: list[str]) -> None:
    """It exists, has the options, and takes the overrides."""
    spec = find_spec(module)
    assert spec is not None, module
    if module.startswith("study."):
        sources = "".join(file.read_text() for file in Path(str(spec.origin)).parent.glob("*.py"))
        known = {"--multirun", "--cfg", "-cd", "--help", "--trust-code"}
        for option in (word for word in arguments if re.match("-+[a-z]", word)):
            assert option in known or f'"{option}"' in sources, option
    if module in OVERRIDDEN:
        check_overrides([word for word in arguments if re.match(r"[+~\w./@]+=", word)])
    elif module == "study.ask.what_if":
        wanted(" ".join(word for word in arguments[1:] if not word.startswith("-")))


def check_overrides(overrides: list[str]) -> None:
    """Compose and check them, every value of an override in turn."""
    launchers = [word.partition("=")[2] for word in overrides if word.startswith("hydra/launcher=")]
    for key in (word.partition("=")[0].split(".")[-1] for word in overrides if word.startswith("hydra.launcher.")):
        assert f"{key}:" in (CONF / "hydra" / "launcher" / f"{launchers[0]}.yaml").read_text(), key
    slugs = [word.partition("=")[2] for word in overrides if word.startswith("experiment=")]
    of_pages = {yaml.safe_load(block.text).get("slug") for block in EXPERIMENTS}
    assert not {slug for slug in slugs if not (CONF / "experiment" / f"{slug}.yaml").is_file()} - of_pages
    elsewhere = re.compile(rf"hydra.*|.*=(\w+_)?mine|experiment=({'|'.join(filter(None, of_pages))})")
    ours = [word for word in overrides if not elsewhere.fullmatch(word)]
    for path in (word.partition("=")[2] for word in ours if word.startswith("task.path=")):
        Path(path.strip('"')).touch()
    ours = settled(prepared(ours), budgets_in_files(ours))
    for variant in zip_longest(*map(values, ours)):
        config = composed(*(word or values(first)[0] for word, first in zip(variant, ours, strict=True)))
        validate(config)
        check(OmegaConf.masked_copy(config, list(SweepingConfig.model_fields)), SweepingConfig)


def values(override: str) -> list[str]:
    """The same override with each of its values alone; of an interval with both ends."""
    (parsed,) = OverridesParser.create().parse_overrides([override])
    if parsed.is_interval_sweep():
        ends = parsed.value()
        return [f"{parsed.key_or_group}={end}" for end in (ends.start, ends.end)]  # type: ignore[union-attr]
    if parsed.is_sweep_override():
        return [f"{parsed.key_or_group}={value}" for value in spelled(parsed)]
    return [override]


@pytest.mark.parametrize("block", EXPERIMENTS, ids=str)
def test_every_experiment_of_a_page_can_be_planned(block: Block, with_files: Path) -> None:
    (with_files / "experiment").mkdir()
    header = "" if block.text.startswith("# @package") else "# @package _global_\n"
    (with_files / "experiment" / "of_page.yaml").write_text(header + block.text)
    typed = [f"hydra.searchpath=[file://{with_files}]", "experiment=of_page"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("train", typed, RunMode.MULTIRUN)
        common = check(OmegaConf.masked_copy(master, list(SweepingConfig.model_fields)), SweepingConfig)
        assert len(build_plan(common.sweep, typed[1:], Composer(loader, master))) > 1


@pytest.fixture(scope="module")
def of_pages(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with nothing in it but what the pages speak of."""
    return f"sqlite:///{shutil.copy(tables / 'mlflow.db', tmp_path_factory.mktemp('pages'))}"


@pytest.fixture(scope="module")
def run(of_pages: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a run in the store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("runs"))
        return train(validate(composed(f"tracking.uri={of_pages}", *TINY))).run_id


@pytest.mark.filterwarnings("default")  # Lightning has some, for those who use it as a page does
@pytest.mark.parametrize("page", PYTHON, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: Path, run: str, of_pages: str, with_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(with_files)
    mlflow.set_tracking_uri(None)  # a logger of another test may have set it for the process
    monkeypatch.setenv("MLFLOW_TRACKING_URI", of_pages)
    namespace: dict[str, Any] = {"__name__": page.stem}
    codes = {
        block: compile(cut(block.text).replace("<id>", run), f"{block}", "exec", dont_inherit=True)
        for block in blocks(page)
        if language(block) == "python"
    }
    for block, code in codes.items():
        if block.note != "sketch":
            exec(code, namespace)
    plt.close("all")
    assert codes


def cut(text: str) -> str:
    """Python with budgets of 3 updates."""
    return re.sub(r"(max_updates\W+)\d+", r"\g<1>3", text)


@pytest.mark.parametrize("block", [block for block in ALL if language(block) == "text"], ids=str)
def test_no_python_hides_in_an_indented_block(block: Block) -> None:
    try:
        tree = ast.parse(block.text) if not block.language else ast.Module([], [])
    except SyntaxError:
        return
    kinds = ast.Import | ast.ImportFrom | ast.Call | ast.FunctionDef | ast.ClassDef
    assert not any(isinstance(node, kinds) for node in chain(*map(ast.walk, tree.body))), f"{block}: fence it as python"
