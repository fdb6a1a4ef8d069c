"""What the design promises of the code as a whole, read from its imports and its files."""

import ast
from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir

from study.schema import validate
from study.schema.defaults import CONF

ROOT = CONF.parent
FILES = sorted((ROOT / "study").rglob("*.py"))
SOURCES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
FRAMEWORKS = {"mlflow", "pytorch_lightning", "optuna", "hydra"}
CORE = (
    "study.tasks",
    "study.models",
    "study.learning.losses",
    "study.learning.clipping",
    "study.probes",
    "study.learning.bptt",
    "study.data",
)


def imports(module: str) -> set[str]:
    """Every module named in an import statement, wherever it stands."""
    found = set()
    for node in ast.walk(ast.parse(SOURCES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            found |= {str(node.module), *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def under(module: str, packages: set[str] | tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def within(*packages: str) -> list[str]:
    return [module for module in SOURCES if under(module, packages)]


@pytest.mark.parametrize("module", [module for module in SOURCES if not module.startswith("study.bench")])
def test_mlflow_is_known_where_runs_are_written_and_where_they_are_read(module: str) -> None:
    mlflow = [name for name in imports(module) if under(name, {"mlflow"})]
    assert not mlflow or module in {"study.tracking.writer", "study.tracking.reader"}


@pytest.mark.parametrize("module", within(*CORE))
def test_the_core_is_plain_torch(module: str) -> None:
    assert not [name for name in imports(module) if under(name, FRAMEWORKS)]
    above = {
        "study.training.module",
        "study.train",
        "study.training.trainer",
        "study.tracking.writer",
        "study.sweep",
        "study.training.recorder",
    }
    assert not [name for name in imports(module) if under(name, above)]


@pytest.mark.parametrize(
    "module", within("study.tasks", "study.models", "study.learning.losses", "study.learning.clipping")
)
def test_what_is_trained_knows_nothing_of_how(module: str) -> None:
    assert not [
        name for name in imports(module) if under(name, {"study.learning.bptt", "study.probes", "study.training"})
    ]


@pytest.mark.parametrize("module", within("study.schema", "study.errors", "study.command"))
def test_configurations_are_checked_without_torch(module: str) -> None:
    assert not [name for name in imports(module) if under(name, {"torch", "mlflow", "pytorch_lightning"})]


@pytest.mark.parametrize("module", [module for module in SOURCES if not under(module, {"study.sweep"})])
def test_training_one_network_knows_nothing_of_sweeps(module: str) -> None:
    allowed = {"study.hydra_plugins"}
    assert under(module, allowed) or not [name for name in imports(module) if under(name, {"study.sweep", "optuna"})]


@pytest.mark.parametrize("module", SOURCES)
def test_nothing_imports_experiments_or_tests(module: str) -> None:
    assert not [name for name in imports(module) if under(name, {"experiments", "tests"})]


def public(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


@pytest.mark.parametrize("module", SOURCES)
def test_every_module_and_every_public_name_says_what_it_is(module: str) -> None:
    tree = ast.parse(SOURCES[module].read_text())
    assert ast.get_docstring(tree)
    assert not [node.name for node in public(tree.body) if not ast.get_docstring(node)]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_called_what_its_file_is_called(name: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert validate(compose("train", [f"experiment={name}"])).slug == name
