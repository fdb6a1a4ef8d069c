"""What a run records so that it can be reproduced."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from study.tasks import Batch, Batches, Metrics, Split, Task
from study.tasks.batches import Stream, Windows
from study.tracking import provenance
from study.tracking.changes import LARGEST


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A repository of one committed file."""
    git(tmp_path, "init", "-q")
    (tmp_path / "study").mkdir()
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "study" / "kept.py").write_text("x = 1\n")
    (tmp_path / "README.md").write_text("what it is\n")
    commit_all(tmp_path)
    yield tmp_path
    provenance.changes.cache_clear()
    provenance.commit.cache_clear()


def git(root: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def commit_all(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-qm", "A")


def test_a_clean_checkout_has_no_changes(checkout: Path) -> None:
    assert str(provenance.changes(checkout)) == ""
    assert provenance.commit(checkout) == git(checkout, "rev-parse", "HEAD").strip()


def test_the_patch_applied_to_the_commit_gives_back_the_dirty_tree(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (checkout / "study" / "kept.py").write_text("from study.new import module\n")
    (checkout / "study" / "new").mkdir()
    (checkout / "study" / "new" / "module.py").write_text("y = 'é'\n")
    (checkout / "conf" / "task" / "staged.yaml").write_text("z: 1\n")
    (checkout / "README.md").write_text("changed\n")
    git(checkout, "add", "conf")
    before = git(checkout, "status", "--short")
    patch = str(provenance.changes(checkout))
    assert git(checkout, "status", "--short") == before
    assert provenance.commit(checkout).endswith("+")
    copy = tmp_path_factory.mktemp("copy")
    git(copy, "clone", "-q", str(checkout), ".")
    (copy / "p.patch").write_text(patch)
    git(copy, "apply", "p.patch")
    for file in ("study/kept.py", "study/new/module.py", "conf/task/staged.yaml"):
        assert (copy / file).read_text() == (checkout / file).read_text()
    assert (copy / "README.md").read_text() == "what it is\n", "no source: it is named"
    assert "no source of the run: README.md\n" in patch


def test_new_files_that_are_no_source_or_are_ignored_stay_private(checkout: Path) -> None:
    (checkout / ".gitignore").write_text("secret.py\n")
    commit_all(checkout)
    (checkout / "data.bin").write_bytes(b"\x00" * 100)
    (checkout / "notes.md").write_text("private")
    (checkout / "secret.py").write_text("key = 1")
    (checkout / "secrets.yaml").write_text("x: 1")
    (checkout / "conf" / "secrets.yaml").write_text("x: 1")
    (checkout / "study" / "scratch.py").write_text("x = 1")  # no source names it
    assert str(provenance.changes(checkout)) == ""


def test_a_changed_file_with_a_secret_is_withheld_and_named_and_the_others_are_kept(checkout: Path) -> None:
    (checkout / "study" / "kept.py").write_text("x = 1\napi_key = 'sw0rdfish'  \n")
    (checkout / "conf" / "task" / "mine.yaml").write_text("password: swordfish\n")
    (checkout / "conf" / "task" / "other.yaml").write_text("name: other\n")
    found = provenance.changes(checkout)
    assert "fish" not in str(found)
    assert [file.partition(" ")[0] for file in found.withheld] == ["conf/task/mine.yaml", "study/kept.py"]
    assert "+name: other" in found.patch
    assert "# not kept, it looks like it holds a secret: study/kept.py (a value of api_key)" in str(found)


def test_too_large_a_patch_leaves_the_names_of_the_files(checkout: Path) -> None:
    (checkout / "study" / "kept.py").write_text("x = 1\n" * LARGEST)
    kept = str(provenance.changes(checkout))
    assert "too many to keep" in kept
    assert "kept.py" in kept
    assert len(kept) < 1000


def test_bytes_that_are_no_text_survive_in_the_patch(checkout: Path) -> None:
    (checkout / "study" / "kept.py").write_bytes("x = 'é'\n".encode("latin-1"))
    patch = str(provenance.changes(checkout))
    assert b"x = '\xe9'" in patch.encode(errors="surrogateescape")


def test_outside_a_checkout_nothing_is_known_and_nothing_fails(tmp_path: Path) -> None:
    assert provenance.commit(tmp_path) == "unknown"
    assert str(provenance.changes(tmp_path)) == ""


def test_the_digest_of_weights_changes_with_a_single_bit_a_name_or_a_type() -> None:
    model = nn.Linear(3, 2)
    digest = provenance.weights(model)
    assert provenance.weights(nn.Sequential(model)) != digest
    assert provenance.weights(model.double()) != digest
    assert provenance.weights(model.float()) == digest
    with torch.no_grad():
        model.bias.view(torch.int32)[0] ^= 1
    assert provenance.weights(model) != digest


def test_the_digest_of_weights_distinguishes_minus_zero_from_zero_and_one_nan_from_none() -> None:
    model = nn.Linear(1, 1)
    digests = set()
    for value in (0.0, -0.0, float("nan"), float("inf")):
        nn.init.constant_(model.weight, value)
        digests.add(provenance.weights(model))
    assert len(digests) == 4


class Splits(Task):
    """A task as far as its data go."""

    def __init__(self, *batches: Batches):
        self._batches = dict(zip(("train", "val", "test"), batches, strict=True))

    def batches(self, split: Split) -> Batches:
        return self._batches[split]

    def metrics(self) -> Metrics:
        raise NotImplementedError

    def baseline(self, batch: Batch) -> torch.Tensor:
        raise NotImplementedError


def stream(tokens: torch.Tensor) -> Stream:
    return Stream(tokens, seq_len=5, batch_size=2)


def windows(series: torch.Tensor, seed: int) -> Windows:
    return Windows([(series, series)], seq_len=5, batch_size=2, seed=seed)


def test_the_digest_of_data_sees_one_changed_value_and_not_the_order_of_a_seed() -> None:
    series, tokens = torch.randn(40, 1), torch.arange(40)
    changed = tokens.clone()
    changed[7] += 1
    digest = provenance.data(Splits(windows(series, 0), stream(tokens), stream(tokens)))
    assert provenance.data(Splits(windows(series, 1), stream(tokens), stream(tokens))) == digest
    assert provenance.data(Splits(windows(series, 0), stream(changed), stream(tokens))) != digest
    assert provenance.data(Splits(windows(series, 0), stream(tokens), stream(changed))) != digest


def test_the_environment_shows_a_second_thread() -> None:
    before = provenance.environment()
    torch.set_num_threads(2)
    after = provenance.environment()
    assert {key for key in before if before[key] != after[key]} == {"threads"}


def test_the_environment_shows_whether_denormals_are_flushed() -> None:
    for flush in (True, False):
        assert torch.set_flush_denormal(flush)
        assert provenance.environment()["flush_denormal"] is flush


def test_packages_name_the_exact_version_of_torch() -> None:
    assert f"torch=={torch.__version__}" in provenance.packages()
