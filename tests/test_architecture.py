"""What the design promises of the code as a whole, read from its imports and its files."""

import ast
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec

import pytest
from hydra import compose, initialize_config_dir

from study.installation import CONF
from study.processes import PRELOADED
from study.schema import validate

ROOT = CONF.parent
FILES = sorted((ROOT / "study").rglob("*.py"))
SOURCES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))

ROOMS = (
    "masking", "errors", "disk", "addresses", "installation", "terminal", "processes", "preloaded", "standing",
    "columns", "schema", "command", "own", "seeding", "data", "look", "models", "tasks", "opponents", "learning",
    "tracking", "probes", "figures", "training", "analysis", "train", "verify", "testing", "report", "callback",
    "reproduce", "sweep", "hydra_plugins", "ask", "findings", "trained", "resume", "deliver", "api", "ui", "bench",
)  # fmt: skip
"""What lies in `study/`, from the ground up: each imports only what stands before it."""
INSIDE = {
    "sweep": ("planning", "trials", "workers", "summary", "preview", "sweeper", "start", "__main__"),
    "report": ("spreadsheet", "data", "figures", "pages", "__main__"),
}
"""The same for what lies in a room."""
FLAT = {
    "masking",
    "errors",
    "disk",
    "addresses",
    "installation",
    "terminal",
    "processes",
    "preloaded",
    "standing",
    "columns",
    "own",
    "seeding",
    "train",
    "resume",
    "deliver",
    "ui",
}
"""The files that are no folder: the doors, and what every room stands on."""
PLAIN_TORCH = {"seeding", "data", "models", "tasks", "opponents", "learning", "probes"}
FRAMEWORKS = {"mlflow", "pytorch_lightning", "optuna", "hydra"}
OWNERS = {
    "mlflow": {
        "study.tracking.client",
        "study.tracking.writer",
        "study.tracking.reader",
        "study.tracking.answers",
        "study.tracking.database",
        "study.tracking.absent",
        "study.tracking.server",
        "study.tracking.models",
        "study.tracking.store",
        "study.tracking.sweeps",
        "study.tracking.trouble",
        "study.tracking.writes",
        "study.bench",
    },  # the bench times it by itself
    "optuna": {"study.sweep", "study.bench"},
}
"""Packages that some modules alone import."""
OPTUNA_PRIVATE = "study.sweep.trials.optuna_private"


@cache
def tree(module: str) -> ast.Module:
    """Its code, read where a test asks for it: collecting tests reads none."""
    return ast.parse(SOURCES[module].read_text())


@cache
def imports(module: str) -> set[str]:
    """Every module named in an import statement of a module, wherever it stands, under TYPE_CHECKING too.

    Members that a registry names by their address, in a text, are imported when they are asked for and not seen here.
    """
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            names = {f"{node.module}.{name.name}" for name in node.names}
            found |= (names & set(SOURCES)) | ({str(node.module)} if names - set(SOURCES) else set())
    return found - {module}


def imported_at_once(module: str) -> set[str]:
    """The modules that importing a module imports: those named outside functions and `TYPE_CHECKING`, and packages."""
    found = {module.rpartition(".")[0]} - {""}
    for node in tree(module).body:
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *({f"{node.module}.{name.name}" for name in node.names} & set(SOURCES))}
    return found


def reachable(module: str, imported: Callable[[str], set[str]]) -> set[str]:
    """Modules that are imported by those that a module imports, and so on, itself among them."""
    reached, found = {module}, {module}
    while found := {name for one in found if one in SOURCES for name in imported(one)} - reached:
        reached |= found
    return reached


def under(module: str, packages: set[str] | tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def within(*rooms: str) -> list[str]:
    return [module for module in SOURCES if under(module, {f"study.{room}" for room in rooms})]


def part(module: str, depth: int) -> str:
    """The name at some depth of a module's path: of `study.sweep.planning.plan` at 1 `sweep`, at 2 `planning`."""
    return (module.split(".") + [""] * depth)[depth]


# Over all modules in one test each: as tests of their own these loops would be a fifth of all there are.


def test_a_room_imports_only_from_rooms_before_it() -> None:
    for module in (module for module in SOURCES if module != "study"):
        room = part(module, 1)
        assert room in ROOMS, f"{module}: say in ROOMS where it stands"
        for other in (name for name in imports(module) if under(name, {"study"}) and part(name, 1) != room):
            assert ROOMS.index(part(other, 1)) < ROOMS.index(room), f"{module} imports {other}"


def test_inside_a_room_too() -> None:
    for module in (module for module in within(*INSIDE) if part(module, 2)):
        order = INSIDE[part(module, 1)]
        for other in (name for name in imports(module) if part(name, 1) == part(module, 1) and part(name, 2)):
            assert order.index(part(other, 2)) <= order.index(part(module, 2)), f"{module} imports {other}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    circle: list[str] = []
    try:
        TopologicalSorter({module: imports(module) for module in SOURCES}).prepare()
    except CycleError as found:
        circle = found.args[1]
    assert not circle, " <- ".join(circle)


def test_at_the_top_lie_the_doors_and_what_all_rooms_stand_on() -> None:
    assert {path.stem for path in (ROOT / "study").glob("*.py")} - {"__init__"} == FLAT


def test_what_a_warm_process_imports_is_there() -> None:
    assert all(find_spec(name) for name in PRELOADED)  # one that is not would be left out without a word


def importing(packages: set[str] | tuple[str, ...], modules: Iterable[str]) -> list[str]:
    """Modules that import one of some packages, or what lies in it."""
    return [module for module in modules if any(under(name, packages) for name in imports(module))]


def test_what_runs_are_written_to_and_searched_by_is_known_in_one_place() -> None:
    for package, owners in OWNERS.items():
        assert not importing({package}, (module for module in SOURCES if not under(module, owners)))


def test_what_is_trained_and_measured_is_plain_torch() -> None:
    assert not importing(FRAMEWORKS, within(*PLAIN_TORCH))


def test_configurations_are_checked_and_files_read_without_torch() -> None:
    rooms = ("errors", "schema", "command", "data", "look")
    assert not importing({"torch", "mlflow", "pytorch_lightning"}, within(*rooms))


def test_looking_at_a_file_needs_no_torch() -> None:
    """A command that answers in a second cannot pay for it."""
    reached = reachable("study.look.__main__", imports)
    assert "study.data.tables.table" in reached
    assert not [name for name in reached if under(name, {"torch", "mlflow", "pytorch_lightning"})]


@pytest.mark.parametrize("module", ["study.sweep.sweeper", "study.sweep.summary", "study.report.pages.study"])
def test_sweeps_and_their_reports_import_no_torch(module: str) -> None:
    """Processes that train do: this one is waited for."""
    reached = reachable(module, imported_at_once)
    assert {"study.terminal", "study.standing"} <= reached
    assert not [name for name in reached if under(name, {"torch", "pytorch_lightning"})]


def private_names(module: str) -> Iterator[str]:
    """Names with an underscore before them that a module takes from elsewhere."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and not under(str(node.module), {"study"}):
            yield from (n for n in [*str(node.module).split("."), *(a.name for a in node.names)] if n.startswith("_"))
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("_"):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            yield from () if own else (node.attr,)


def test_private_names_of_optuna_are_used_in_one_file() -> None:
    assert [module for module in within("sweep") if any(private_names(module))] == [OPTUNA_PRIVATE]


def test_nothing_imports_experiments_or_tests() -> None:
    assert not importing({"experiments", "tests"}, SOURCES)


def public(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def test_every_module_and_every_public_name_says_what_it_is() -> None:
    assert not [module for module in SOURCES if not ast.get_docstring(tree(module))]
    for module in SOURCES:
        assert not [f"{module}.{n.name}" for n in public(tree(module).body) if not ast.get_docstring(n)]


def test_no_two_classes_share_a_name() -> None:
    names = Counter(node.name for module in SOURCES for node in tree(module).body if isinstance(node, ast.ClassDef))
    assert not [name for name, times in names.items() if times > 1]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_called_what_its_file_is_called(name: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        assert validate(compose("train", [f"experiment={name}"])).slug == name
