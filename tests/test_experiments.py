"""What is committed under `experiments/` can be made again, row by row, and says so itself."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from study.installation import CONF
from study.report.pages import study as study_page
from study.reproduce.experiments import CIRCUMSTANCES, DIFFERENT, SAME, UNUSABLE, configuration, main, quickest, read
from study.train import train

EXPERIMENTS = CONF.parent / "experiments"
COMMITTED = sorted(file.parent.name for file in EXPERIMENTS.glob("*/results.csv"))
TINY = ("task=forecasting_sine_mix", "model.hidden_size=2", "trainer.max_updates=3", "probe=none")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, store: str) -> Path:
    """A folder of experiments with one in it, `tiny`, of two runs."""
    folder = tmp_path_factory.mktemp("experiments") / "tiny"
    folder.mkdir()
    for seed in (0, 1):
        overrides = [*TINY, "slug=tiny", f"seed={seed}"]
        train(configuration("tiny", {"overrides": shlex.join([*overrides, f"tracking.uri={store}"])}), overrides)
    study_page.write("tiny", store, "http://127.0.0.1:5000", folder)
    return folder.parent


@pytest.mark.parametrize("slug", COMMITTED)
def test_every_committed_row_names_its_commit_versions_cpu_and_what_was_typed(slug: str) -> None:
    for row in read(EXPERIMENTS / slug / "results.csv"):
        assert re.fullmatch("[0-9a-f]{40}", row["commit"]), "made from a clean checkout"
        assert all(row[key] for key in CIRCUMSTANCES)
        assert f"experiment={slug}" in shlex.split(row["overrides"])


@pytest.mark.parametrize("slug", COMMITTED)
def test_what_a_committed_row_was_made_by_is_still_a_valid_configuration(slug: str) -> None:
    row = quickest(EXPERIMENTS / slug / "results.csv")
    config = configuration(slug, row)
    assert (config.slug, config.task.name, str(config.seed)) == (slug, row["task"], row["seed"])


def test_a_run_made_again_gives_the_committed_digits(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(made)]) == SAME
    said = capsys.readouterr().out
    assert re.search("^tiny, elman, seed [01]: identical, rmse 0.*", said, re.M)
    assert said.endswith("1 of 1 experiments gave the committed numbers\n")


def test_other_digits_are_named_beside_the_circumstances_that_differ(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read(made / "tiny" / "results.csv")
    (tmp_path / "tiny").mkdir()
    text = (made / "tiny" / "results.csv").read_text()
    for row in rows:
        text = text.replace(f",{row['value']},", ",0.125,").replace(row["cpu"], "an abacus")
    (tmp_path / "tiny" / "results.csv").write_text(text)
    assert main(["--folder", str(tmp_path), "tiny"]) == DIFFERENT
    said = capsys.readouterr().out
    assert "different: value 0.125 then, 0." in said
    assert "Other than then: cpu an abacus then," in said
    assert said.endswith("0 of 1 experiments gave the committed numbers\n")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("overrides", "typed"), "no column overrides"),
        (lambda text: text.replace("True", "False"), "no row that counts"),
        (lambda text: text.replace("task=forecasting_sine_mix", "task=sine"), "overrides task=sine"),
        (lambda text: text.replace("hidden_size=2", "hidden_size=0"), "model.hidden_size = 0"),
        (lambda text: "", "no column overrides, commit, versions, cpu, counts, value, seconds"),
    ],
)
def test_a_file_that_cannot_be_made_again_is_refused_before_anything_is_trained(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[str], str], words: str
) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "results.csv").write_text(change((made / "tiny" / "results.csv").read_text()))
    assert main(["--folder", str(tmp_path)]) == UNUSABLE
    captured = capsys.readouterr()
    assert words in captured.err
    assert not captured.out


def test_a_wrong_name_is_answered_with_the_right_ones(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(made), "tinny"]) == UNUSABLE
    assert "'tinny': no such experiment; did you mean 'tiny'? (there are: tiny)" in capsys.readouterr().err
    assert main(["--folder", str(made / "tiny")]) == UNUSABLE
    assert "no folder with a results.csv" in capsys.readouterr().err
