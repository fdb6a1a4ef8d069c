"""docs/glossary.md names all that a run logs, and nothing else."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from study.learning.regularizers import PENALTY
from study.reproduce.rerun import RELATIONS
from study.schema import validate
from study.schema.bptt import TRUNCATIONS
from study.schema.clip import CLIPS
from study.schema.registry import Registry
from study.sweep.trials.status import State
from study.tracking import answers
from study.train import train
from tests.composed import composed
from tests.pages import DOCS, ROOT

SAMPLE = (
    "task=forecasting_adding", "task.sequences=80", "task.held_out=20", "task.seq_len=12", "task.horizon=5",
    "task.test_lengths=[10,12]", "model=lstm", "model.hidden_size=3", "trainer.max_updates=3", "clip=zclip",
    "trainer.validate_every=3", "trainer.progress_bar=false", "regularizer=orthogonality", "loss.scale=initial",
    "probe=full", "probe.per_decade=null", "probe.lyapunov.exponents=2", "probe.sharpness.iterations=2",
)  # fmt: skip
"""A run with as many numbers, tags and files as one run may have."""
ELSEWHERE = {"task.test_lengths", "autonomous"}
"""What rows name that is no column of this run: a key, and a measure of a task that it is not of."""
PAGE = (DOCS / "glossary.md").read_text()


@cache
def sources() -> list[ast.Module]:
    """The code of the study."""
    return [ast.parse(file.read_text()) for file in sorted((ROOT / "study").rglob("*.py"))]


@cache
def texts() -> set[str]:
    """Every text without a space in the study: keys and names, no sentences."""
    nodes = (node for tree in sources() for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {node.value for node in nodes if isinstance(node.value, str) and " " not in node.value}


def cells(heading: str) -> Iterator[list[str]]:
    """The rows of the table under a heading, cell by cell."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    for line in re.findall(r"^\| (.+) \|$", section, re.M)[1:]:
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)]


def keys(heading: str, column: int = 0) -> set[str]:
    """What is set in code in one column of that table."""
    return {key for row in cells(heading) for key in re.findall(r"`([^`]+)`", row[column])}


def covered(logged: set[str], rows: set[str]) -> set[str]:
    """Those of the logged keys that no row names; <...> in a row stands for any name."""
    shape = "|".join(re.sub(r"<\w+>", "[^/]+", re.escape(row)) for row in rows)
    return {key for key in logged if not re.fullmatch(shape, key)}


class Logged(NamedTuple):
    """What one run left in the store."""

    metrics: set[str]
    tags: set[str]
    columns: dict[str, list[str]]
    files: set[str]


@pytest.fixture(scope="module")
def logged(store: str, tmp_path_factory: pytest.TempPathFactory) -> Logged:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("sample"))
        run_id = train(validate(composed(f"tracking.uri={store}", "slug=glossary", *SAMPLE))).run_id
        client = MlflowClient(store)
        Path("artifacts").mkdir()
        folder = Path(client.download_artifacts(run_id, "", "artifacts"))
        files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
        columns = {name: pq.read_schema(folder / name).names for name in files if name.endswith(".parquet")}
    data = client.get_run(run_id).data
    tags = {tag for tag in data.tags if not tag.startswith("mlflow.")}
    return Logged(set(data.metrics), tags, columns, files)


def returned(function: str, room: str) -> set[str]:
    """The keys of every dict that functions of a name build, in one room of the study."""
    trees = [ast.parse(file.read_text()) for file in (ROOT / "study" / room).rglob("*.py")]
    found = [node for tree in trees for node in ast.walk(tree) if getattr(node, "name", "") == function]
    dicts = [node for one in found for node in ast.walk(one) if isinstance(node, ast.Dict)]
    return {str(key.value) for each in dicts for key in each.keys if isinstance(key, ast.Constant)}


def recorded(registry: Registry) -> set[str]:
    return {name for member in registry for name in registry.implementation(member).records}


def tagged() -> set[str]:
    """Keys that the code gives to tags: those of dicts in `.tag(...)`, in `Place(...)` and in what it calls tags."""
    found = set()
    for node in (node for tree in sources() for node in ast.walk(tree)):
        names = {ast.unparse(target) for target in getattr(node, "targets", [getattr(node, "target", None)]) if target}
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if called == "Place" or called.endswith(".tag") or any(name.endswith("tags") for name in names):
            dicts = [part for part in ast.walk(node) if isinstance(part, ast.Dict)]
            found |= {str(key.value) for each in dicts for key in each.keys if isinstance(key, ast.Constant)}
    return found - {"run_id"}  # what a ledger notes when a run announces itself


def test_every_chart_has_a_row(logged: Logged) -> None:
    every = logged.metrics | recorded(CLIPS) | recorded(TRUNCATIONS) | {PENALTY}
    assert not covered(every, keys("Charts"))


def test_every_measure_has_a_row_and_every_row_is_of_a_measure() -> None:
    measures = returned("compute", "tasks") | returned("measures", "learning/losses")
    assert keys("Measures") - {"gaussian_nll"} == measures


def test_every_column_of_every_table_has_its_row(logged: Logged) -> None:
    assert not covered(set(logged.columns.pop("gradients.parquet")), keys("Columns of gradients.parquet"))
    tables = {row[0].strip("`"): row[2] for name in ("Tables of the probes", "Other tables") for row in cells(name)}
    assert set(tables) == set(logged.columns)
    for table, columns in logged.columns.items():
        named = set(re.findall(r"`([^`]+)`", tables[table])) | {"update"}
        assert not covered(set(columns), named), table
        assert not {name for name in named - {"update", *ELSEWHERE} if not covered_by(name, columns)}, table


def covered_by(row: str, names: list[str]) -> bool:
    """Whether a row stands for one of the names."""
    return len(covered(set(names), {row})) < len(names)


def test_every_tag_has_a_row(logged: Logged) -> None:
    further = {answers.FROM, answers.AT, answers.TREATMENT, "asked", *State.__args__}  # type: ignore[attr-defined]
    relations = {name for both in RELATIONS.values() for name in both[:2]}
    assert not (logged.tags | tagged() | further | relations) - keys("Tags")


def test_every_file_of_a_run_has_a_row(logged: Logged) -> None:
    named = keys("Artifacts") | keys("Tables of the probes") | keys("Other tables")
    assert not covered(logged.files, named)


def test_no_row_names_what_nobody_logs(logged: Logged) -> None:
    seen = logged.metrics | logged.tags | logged.files
    for key in keys("Charts") | keys("Tags") | keys("Artifacts"):
        longest = max(re.split(r"<\w+>|/|_max$", key), key=len)
        assert key in seen or any(longest in text for text in texts()), key


@pytest.mark.parametrize("heading", ["Charts", "Measures", "Tags"])
def test_every_row_says_where_its_number_is_computed(heading: str) -> None:
    for row in cells(heading):
        for place in re.findall(r"`([^`]+)`", row[-1]):
            assert (ROOT / place).exists(), place
