"""A cell in one file: loaded, refused in words, verified, kept with its run and reproduced where it is trusted."""

import re
import shutil
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from torch import nn

from study.command.arguments import closed, opened
from study.errors import ConfigError
from study.installation import CONF
from study.models import Cell, Inputs, build
from study.models.cell import Layers
from study.models.own import own
from study.reproduce.__main__ import main as reproduce
from study.resume import main as resume
from study.schema import Config, validate
from study.schema.identity import deciding
from study.schema.own import FOLDER, digest
from study.schema.sweep import SweepConfig
from study.sweep.planning.build import build_plan
from study.sweep.planning.composer import Composer
from study.sweep.planning.plan import Plan
from study.tracking.reader import Logged, find, search
from study.train import train
from tests.composed import composed
from tests.own_page import ARMS, CELL, OWN, TINY, changed

Configure = Callable[..., Config]
pytestmark = pytest.mark.usefixtures("folder")


def refusal(text: str, place: str = "cell.py", **options: Any) -> str:
    """What is said of a file with this text."""
    Path("cell.py").write_text(text)
    with pytest.raises(ConfigError) as refused:
        own(3, 5, 2, file=place, digest=None, options=options)
    return str(refused.value)


STEP = "        return ((1 - self.rate)"
MISTAKES = {
    "no class": ("x = 1", "cell.py: there is no subclass of Cell or Core in it"),
    "a class of another kind": ("class A: pass", "no subclass of Cell or Core in it; its classes A (line 1) are made"),
    "syntax": ("x = 1\ndef f(:\n", "cell.py, line 2: invalid syntax"),
    "an error when it is read": ("\nx = undefined\n", "cell.py, line 2: NameError: name 'undefined' is not defined"),
    "an end of the process": ("raise SystemExit(3)", "cell.py, line 1: SystemExit: 3"),
    "no step": (changed("def step", "def stop"), "cell.py, line 6: Leaky lacks step"),
    "several": (CELL + "\nclass Other(Leaky): pass\n", "several: Leaky (line 6), Other (line 16); choose one, such as "
                "model.file=cell.py:Leaky"),
    "an error in the constructor": (changed("self.rate, ", "1 / 0; self.rate, "), "cell.py, line 9: ZeroDivisionError"),
    "a constructor without sizes": (changed("features, hidden_size, rate", "size, rate"), "cell.py, line 7: "
                                    "Leaky(size, rate) does not start with features, hidden_size"),
    "options without names": (changed("rate=0.1", "**options"), "takes **options; name every option"),
    "an option of the base": (changed("rate=0.1", "dropout=0.1"), "takes dropout, which is done around it"),
    "NaN": (changed("nn.init.orthogonal_(torch.empty(hidden_size, hidden_size))", "torch.empty(hidden_size, 5)"),
            "cell.py, line 7: W_hh of Leaky is not finite at the start; torch.empty leaves values unset"),
    "no tuple": (changed(",)\n", ")\n"), "cell.py, line 12: Leaky.step returns a Tensor, not a tuple of the parts "
                 "('h',): write (h,)"),
    "a part too many": (changed(STEP, "        return h, ((1 - self.rate)"), "Leaky.step returns 2 parts, but "
                        "state_parts = ('h',)"),
    "no tensor": (changed(STEP, "        return (0.0,)\n" + STEP), "Leaky.step returns a float as h, not a tensor"),
    "a wrong shape": (changed(STEP, "        return (h[:, 1:],)\n" + STEP), "cell.py, line 12: Leaky.step returns h of "
                      "shape (3, 4), not (3, 5) (batch, width)"),
    "an error in the step": (changed("h @ ", "h @ self.U @ "), "cell.py, line 14: AttributeError: 'Leaky' object has "
                             "no attribute 'U' (while a step of Leaky was tried)"),
    "a memory that is no part": (changed("    def __init__", "    memory = 'c'\n    def __init__"), "memory = 'c' is "
                                 "none of state_parts"),
    "a memory beside h": (changed(STEP, "        return h * self.W_hh.sum(), h * self.W_hh.sum()\n" + STEP).replace(
        "    def __init__", "    state_parts, memory = ('h', 'c'), 'c'\n    def __init__").replace("(h,) =", "h, _ ="),
        "Leaky.step returns a c that its h is not computed from"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_file_is_one_sentence_with_its_line(mistake: str) -> None:
    text, said = MISTAKES[mistake]
    message = refusal(text)
    assert said in message
    assert "\n" not in message


def test_an_option_that_is_not_taken_or_lacks_is_named_with_those_that_are_taken() -> None:
    taken = "Leaky takes no such option; did you mean 'rate'? (it takes rate=0.1; cell.py, line 7)"
    assert refusal(CELL, rat=0.2) == f"model.options.rat: {taken}"
    assert refusal(changed("rate=0.1", "rate")) == "Leaky needs model.options.rate=... (cell.py, line 7)"
    assert "no Cell or Core is called Leakx; did you mean 'Leaky'?" in refusal(CELL, "cell.py:Leakx")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("model.file=none.py", "model.file = 'none.py': there is no file "),
        ("model.file=../../none.py", "model.file = '../../none.py': there is no file "),
        ("model.file=cell.txt", "model.file = 'cell.txt': there is no module cell.txt"),
        ("model.file=a-b", "a path that ends in .py, or the dotted name of a module, is needed"),
        ("model.file=no.such.module", "there is no module no; it is looked for in "),
        ("model.file=torch._C", "the module torch._C is no Python file"),
        (f"model.digest={'0' * 64}", "cell.py has another content now: its SHA-256 is "),
        ("+model.options.rate=[1]", "model.options.rate = [1]: an option is a number, a text, true or false"),
    ],
)
def test_a_configuration_that_names_no_usable_file_is_refused_by_its_key(
    configure: Configure, overrides: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        configure(*OWN, *overrides.split())


def test_a_path_and_a_dotted_name_lead_to_the_same_file_and_nothing_is_imported(
    configure: Configure, folder: Path
) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "__init__.py").write_text("raise SystemExit")
    shutil.copy("cell.py", "mine/cells.py")
    places = ("cell.py", str(folder / "cell.py"), "mine.cells", "mine.cells:Leaky")
    assert len({configure(*OWN, f"model.file={place}").model.digest for place in places}) == 1  # type: ignore[attr-defined]


def test_a_module_of_a_package_that_is_installed_in_place_is_found_by_its_own_finder(
    configure: Configure, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = ModuleSpec("lab", None, is_package=True)
    (folder / "elsewhere").mkdir()
    shutil.copy("cell.py", "elsewhere/cells.py")
    package.submodule_search_locations = [str(folder / "elsewhere")]

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
            return package if name == "lab" and path is None else None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, object(), Finder])
    found = configure("model=own", "model.file=lab.cells")
    assert found.model.digest == configure(*OWN).model.digest  # type: ignore[attr-defined]


def test_a_module_in_folders_that_no_import_has_made_a_package_is_asked_for_by_its_path(
    configure: Configure, folder: Path
) -> None:
    (folder / "one" / "two").mkdir(parents=True)
    shutil.copy("cell.py", "one/two/cells.py")
    with pytest.raises(
        ConfigError, match=r"the module one\.two\.cells cannot be looked up .*give the path of its file"
    ):
        configure("model=own", "model.file=one.two.cells")


def test_what_holds_is_the_content_and_not_where_it_lies(configure: Configure, folder: Path) -> None:
    before = deciding(configure(*OWN))
    (folder / "moved").mkdir()
    shutil.copy("cell.py", "moved/cell.py")
    assert deciding(configure("model=own", "model.file=moved/cell.py")) == before
    Path("cell.py").write_text(CELL + "\n")
    assert deciding(configure(*OWN)) != before
    assert deciding(configure(*OWN, "+model.options.rate=0.3")) != deciding(configure(*OWN))


def test_a_cell_is_built_as_the_base_builds_any_other(configure: Configure) -> None:
    config = configure(*OWN, "+model.options.rate=0.3", "model.num_layers=2", "model.dropout=0.5").model
    torch.manual_seed(3)
    core = build(config, Inputs(3, tokens=False), 1).core
    assert isinstance(core, Layers)
    assert [cell.rate for cell in core.cells] == [0.3, 0.3]
    assert core.between.p == 0.5
    torch.manual_seed(3)
    again = build(config, Inputs(3, tokens=False), 1).core
    torch.testing.assert_close(core.state_dict(), again.state_dict(), rtol=0, atol=0)


def test_a_size_that_is_to_be_matched_is_found_for_a_cell_of_ones_own(configure: Configure) -> None:
    config = configure(*OWN, "model.hidden_size=null", "model.match_parameters=1000").model
    model = build(config, Inputs(3, tokens=False), 1)
    assert abs(sum(p.numel() for p in model.parameters()) - 1000) <= 20
    assert model.core.recurrent_parameters == ("cells.0.W_hh",)


class Everything(Cell):
    """A gate of the inputs, matrices of the state in three forms, and one that is mixed with the inputs."""

    def __init__(self, features, hidden_size):
        super().__init__(features, hidden_size)
        self.gate, self.enter = nn.Linear(features, hidden_size), nn.Linear(features, hidden_size)
        self.plain = nn.Parameter(torch.randn(hidden_size, hidden_size))
        self.inner, self.mixed = nn.Linear(hidden_size, hidden_size), nn.Linear(2 * hidden_size, hidden_size)
        self.unused = nn.Parameter(torch.randn(hidden_size, hidden_size))

    def step(self, inputs, state):
        (h,) = state
        x = self.enter(inputs)
        kept = self.gate(inputs).sigmoid() * h
        return ((kept + self.inner(x.sigmoid() * h) + h @ self.plain + self.mixed(torch.cat([x, h], -1))).softmax(-1),)


def test_matrices_that_act_on_the_state_alone_are_found_in_a_cell_that_says_nothing() -> None:
    source = Path(__file__).read_text()
    text = source[source.index("class Everything(Cell)") : source.index("def test_matrices_that_act")]
    imports = "import torch\nfrom torch import nn\nfrom study.models import Cell\n"
    Path("cell.py").write_text(imports + text)
    core = own(5, 5, file="cell.py", digest=None, options={})  # square in every layer
    assert core.recurrent_parameters == ("cells.0.plain", "cells.0.inner.weight")
    Path("cell.py").write_text(imports + text.replace("    def __init__", "    recurrent = ()\n    def __init__"))
    assert own(5, 5, file="cell.py", digest=None, options={}).recurrent_parameters == ()


def test_options_of_a_file_are_typed_like_any_other_key() -> None:
    assert opened("model.options.rate=0.2") == "++model.options.rate=0.2"
    assert closed(opened("model.options.rate=0.2")) == "model.options.rate=0.2"
    for text in ("model.hidden_size=3", "++model.hidden_size=3", "model.optionsx=1"):
        assert closed(opened(text)) == opened(text) == text


# One run, kept and made again.


@pytest.fixture(scope="module")
def logged(store: str, tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """A run of the cell of the page; what lies in its place since is something else."""
    place = tmp_path_factory.mktemp("own") / "cell.py"
    place.write_text(CELL)
    given = (f"tracking.uri={store}", "trainer.progress_bar=false", *TINY, "model=own", f"model.file={place}")
    run = train(validate(composed(*given, "++model.options.rate=0.3")))
    place.write_text("raise RuntimeError('not this one')")
    return find(store, run.run_id)[0]


def test_a_run_keeps_the_file_its_digest_and_its_options(logged: Logged) -> None:
    assert logged.read(f"{FOLDER}/model.py").decode() == CELL
    assert logged.params["model.digest"] == digest(CELL.encode())
    assert logged.params["model.options.rate"] == "0.3"
    assert logged.started_as == "own_cell no clip sine_mix s0"
    assert logged.tags["verdict"]


def test_code_of_a_run_is_shown_and_not_executed(
    logged: Logged, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.own.OwnClass.__init__", None)  # nothing may be loaded
    runs = len(search(logged.uri))
    assert reproduce([logged.run_id, "--store", logged.uri]) == 2
    said = capsys.readouterr()
    assert CELL in said.out
    *_, refused, reason = said.err.splitlines()
    assert refused == "The run cannot be reproduced:"
    assert reason.endswith("read it, then add --trust-code")
    assert len(search(logged.uri)) == runs


def test_code_that_is_trusted_is_executed_as_it_was_logged_and_gives_every_bit_again(
    logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reproduce([logged.run_id, "--store", logged.uri, "--trust-code"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("identical: ")
    (again,) = search(logged.uri, f"tags.reproduces = '{logged.run_id}'")
    assert again.read(f"{FOLDER}/model.py").decode() == CELL
    assert not Path(again.params["model.file"]).parent.exists()


def test_code_that_was_exchanged_in_the_store_is_refused(logged: Logged, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(logged.folder, FOLDER, "model.py")
    file.write_text(CELL + "\x1b[2J")
    try:
        assert reproduce([logged.run_id, "--store", logged.uri, "--trust-code"]) == 2
    finally:
        file.write_text(CELL)
    assert "is not the file that it was trained with" in capsys.readouterr().err


def test_an_interrupted_run_is_resumed_by_the_code_it_has_where_that_is_trusted(
    logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(logged.uri)
    client.update_run(logged.run_id, "RUNNING")
    try:
        assert resume([logged.run_id, "--store", logged.uri]) == 2
        said = capsys.readouterr()
        assert CELL in said.out
        assert "--trust-code" in said.err
    finally:
        client.update_run(logged.run_id, "FINISHED")


def test_a_sweep_takes_files_as_they_were_when_it_was_planned(folder: Path) -> None:
    def plan() -> Plan:
        section = {**dict(master.sweep), **ARMS, "search": {}, "storage": ""}
        return build_plan(SweepConfig(**section), ["model.hidden_size=4"], composer)

    with initialize_config_dir(str(CONF), version_base="1.3"):
        master = compose("train", return_hydra_config=True)
        composer = Composer(GlobalHydra.instance().config_loader(), master)
        first = plan()
        assert list(first.names.values())[1:] == ["own rate=0.1", "own rate=0.2"]
        overrides = [first.overrides(cell) for cell in first.cells()]
        assert composer.check(overrides[1]).model.options == {"rate": 0.1}  # type: ignore[attr-defined]
        Path("cell.py").write_text(CELL + "\n")
        with pytest.raises(ConfigError, match="has another content now"):
            composer.check(overrides[1])
        assert composer.check(overrides[0]).model.name == "lstm"
        second = plan()
    assert len(set(first.arms) & set(second.arms)) == 1
    assert len(set(first.arms) | set(second.arms)) == 5


WHOLE = """
from study.models.cells.elman import Elman
from study.models.contract import Core

class Mine(Elman):
    takes_residual = False
    dropped = Core.dropped
"""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("model.residual=true", "the forward of this core adds nothing between its layers"),
        ("model.dropout=0.2", "Mine in cell.py does not say in `dropped` what it drops"),
    ],
)
def test_what_a_whole_core_of_ones_own_would_ignore_is_refused(configure: Configure, given: str, said: str) -> None:
    Path("cell.py").write_text(WHOLE)
    config = configure(*OWN, "model.num_layers=3", given).model
    with pytest.raises(ConfigError, match=said):
        build(config, Inputs(3, tokens=False), 2)
