"""Any logged run again, bit for bit."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from study.analysis.result import Result
from study.errors import ConfigError
from study.reproduce import rerun as again
from study.reproduce.__main__ import main
from study.reproduce.compare import HISTORY, MARKS, METRICS, _same, compare, numbers
from study.reproduce.restore import CONFIG
from study.schema import Config
from study.tracking import writer
from study.tracking.place import Place
from study.tracking.reader import Logged, find, search
from study.train import train
from tests.reruns import SMALL, latest, rerun
from tests.typed import typed

Configure = Callable[..., Config]


@pytest.fixture
def usual(configure: Configure, once: Callable[[Config], Logged], tmp_path: Path) -> Iterator[Logged]:
    """A small run, trained once for all tests; they may change its files, which are put back."""
    run = once(configure(*SMALL, "probe=none"))
    kept = shutil.copytree(run.folder, tmp_path / "kept")
    yield run
    shutil.rmtree(run.folder)
    shutil.copytree(kept, run.folder)


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """Of trainings that were made again, by what was trained."""
    return {}


@pytest.fixture
def made_again(results: dict[str, Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made again is trained once: for tests of what is said where the record was changed meanwhile."""

    def remembered(config: Config, overrides: Sequence[str], place: Place, callbacks: Sequence[object]) -> Result:
        assert not callbacks, "a run that is ended early is another one than what is remembered"
        key = f"{config.model_dump_json()} {place.parent}"
        if key not in results:
            results[key] = train(config, overrides, place)
        return results[key]

    monkeypatch.setattr(again, "train", remembered)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model=lstm", "model.dropout=0.3", "model.num_layers=2", "clip=norm", "clip.threshold=0.1", "probe=end"),
        ("bptt.k2=20", "bptt.k1=10", "optimizer=sgd", "seed=5", "probe=end"),
        ("model=elman", "clip=none", "optimizer=sgd", "optimizer.lr=1e8"),
    ],
    ids=["dropout and clipping", "truncated", "diverged"],
)
def test_a_run_made_again_is_identical_in_every_value(
    logged: Callable[..., Logged], capsys: pytest.CaptureFixture[str], overrides: tuple[str, ...]
) -> None:
    run = logged(*overrides)
    assert rerun(run) == 0
    new = search(run.uri, f"tags.reproduces = '{run.run_id}'")[0]
    total = len(numbers(run)) + len([mark for mark in MARKS if mark in run.tags])
    assert capsys.readouterr().out.splitlines()[-1] == f"identical: {total:,} of {total:,} values"
    assert new.tags["weights_final"] == run.tags["weights_final"]
    assert new.tags["comparison"].startswith("identical")
    assert latest(run).tags["reproduced_by"] == new.run_id


def test_measures_that_older_versions_took_of_a_diverged_network_are_not_missed(logged: Callable[..., Logged]) -> None:
    run = logged("model=elman", "clip=none", "optimizer=sgd", "optimizer.lr=1e8")
    assert run.name.endswith(" · diverged (step size)")
    assert re.fullmatch(r"diverged at update \d+", run.tags["not_measured"])
    assert not [key for key in run.measures if key == "skill/opponent" or key.endswith(("/test", "/val"))]
    record, end = writer.opened(run.uri, run.run_id), int(run.measures["run/updates"])
    record.log_points([(end, {"rmse/val": 1e9, "rmse/test": 1e9, "skill/opponent": -1e9})])
    assert compare(latest(run), run).identical
    record.log_points([(end, {"flow/decay": 0.5})])
    assert not compare(latest(run), run).identical


def test_what_is_compared_is_the_whole_history_and_every_point(usual: Logged) -> None:
    run = usual
    recorded = numbers(run)
    history = run.table(HISTORY)
    assert (recorded["source"] == HISTORY).sum() == 20 * (len(history.columns) - 1)
    keys = set(recorded[recorded["source"] == METRICS]["key"])
    assert keys == {key for key in run.measures if not key.endswith(("seconds", "/opponent"))}


def test_one_bit_of_one_norm_is_found_and_named(
    usual: Logged, made_again: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run = usual
    path = Path(run.folder, HISTORY)
    frame = pq.read_table(path).to_pandas()
    key = "grad_norm/total"
    frame.loc[6, key] = np.nextafter(frame.loc[6, key], np.float32(np.inf))
    frame.loc[9, "loss"] = np.nan
    frame.to_parquet(path)
    assert rerun(run) == 1
    *_, circumstances, first, last = capsys.readouterr().out.splitlines()
    total = len(numbers(run)) + len([mark for mark in MARKS if mark in run.tags])
    assert last == f"different: {total - 2:,} of {total:,} values are identical"
    assert re.fullmatch(
        rf"first difference: {HISTORY} {key} at update 7: [\d.]+ then, [\d.]+ here, distance .*e-0.", first
    )
    assert circumstances == "differs from then: nothing that was recorded"


def test_an_update_too_many_is_a_difference(
    usual: Logged, made_again: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run = usual
    path = Path(run.folder, HISTORY)
    pq.write_table(pq.read_table(path)[:-1], path)
    assert rerun(run) == 1
    assert f"first difference: {HISTORY} loss at update 20: nothing then, " in capsys.readouterr().out


def test_a_tolerance_forgives_a_bit_and_only_then(logged: Callable[..., Logged], made_again: None) -> None:
    run = logged()
    path = Path(run.folder, HISTORY)
    frame = pq.read_table(path).to_pandas()
    frame.loc[6, "loss"] = np.nextafter(frame.loc[6, "loss"], np.float32(np.inf))
    frame.to_parquet(path)
    run.tag({"weights_final": "of another machine"})
    assert rerun(run, "--tolerance", "1e-5") == 0
    assert rerun(run) == 1


@pytest.mark.parametrize("tolerance", ["-1", "nan", "1", "x"])
def test_a_tolerance_that_is_none_is_refused(tolerance: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["x", f"--tolerance={tolerance}"])
    assert "tolerance" in capsys.readouterr().err


def test_values_are_the_same_by_their_bits() -> None:
    nan, inf = float("nan"), float("inf")
    a = np.array([1.0, nan, inf, -inf, 0.0, 1.0, nan, 1e-300])
    b = np.array([1.0, nan, inf, inf, -0.0, 1.0 + 2**-52, 1.0, 0.0])
    assert _same(a, b, 0.0).tolist() == [True, True, True, False, False, False, False, False]
    assert _same(a, b, 1e-9).tolist() == [True, True, True, False, True, True, False, False]


@pytest.mark.usefixtures("stores")
def test_the_runs_of_a_sweep_are_the_same_alone(
    tmp_path: Path, store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("OPTUNA_STORAGE", f"sqlite:///{tmp_path}/optuna.db")
    tuned = ["sweep.trials=1", "optimizer.lr=interval(0.01,0.1)", "hydra/launcher=basic"]
    done = typed("study.train", ["--multirun", "slug=swept", *SMALL, "probe=none", *tuned], tmp_path, os.environ)
    assert done.returncode == 0, done.stderr
    assert main(["sweep swept", "--store", store]) == 0
    assert "identical: 2 of 2 runs, " in capsys.readouterr().out


def test_overrides_make_a_variation_that_is_tagged_and_not_compared(usual: Logged) -> None:
    run = usual
    assert rerun(run, "optimizer.lr=0.5", "model=gru") == 0
    new = search(run.uri, f"tags.varies = '{run.run_id}'")[0]
    assert new.tags["kind"] == "variation"
    assert new.params["optimizer.lr"] == "0.5"
    assert new.params["model.hidden_size"] == "64"
    assert "comparison" not in new.tags
    assert latest(run).tags["varied_by"] == new.run_id


def test_where_the_data_lie_is_no_variation(usual: Logged, capsys: pytest.CaptureFixture[str]) -> None:
    assert rerun(usual, "data.cache=elsewhere") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("identical")


def test_what_defines_a_run_tells_nothing_of_the_machine_it_was_made_on(logged: Callable[..., Logged]) -> None:
    definition = yaml.safe_load(logged("data.cache=/home/me").read(CONFIG))
    assert not {"data", "sweep"} & set(definition)
    assert set(definition["tracking"]) == {"points"}


def test_what_was_written_by_others_is_shown_as_it_stands(
    usual: Logged, made_again: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run = usual
    path = Path(run.folder, "definition", "environment.yaml")
    path.write_text(re.sub("processor: .*", r'processor: "[/nothing][red]\\e[2J"', path.read_text()))
    assert rerun(run) == 0
    out = capsys.readouterr().out
    assert "[/nothing][red]�[2J" in out
    assert "\x1b[2J" not in out


def test_a_run_made_with_two_threads_or_other_packages_is_reported_as_such(
    usual: Logged, made_again: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run = usual
    folder = Path(run.folder, "definition")
    for file, old, new in [("environment.yaml", "threads: 1", "threads: 2"), ("packages.txt", "torch==", "torch==0.")]:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))
    assert rerun(run) == 0
    out = capsys.readouterr().out
    assert re.search(r"threads\s+│ 2\s+│ 1", out)
    assert re.search(r"torch\s+│ 0\.2", out)


def test_a_run_from_before_provenance_was_kept_can_be_made_again(
    usual: Logged, made_again: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run = usual
    for file in ("environment.yaml", "packages.txt", "changes.patch", "overrides.yaml"):
        Path(run.folder, "definition", file).unlink()
    assert rerun(run) == 0
    assert "not recorded" in capsys.readouterr().out


def test_a_run_that_has_lost_files_says_so_and_what_it_still_has_is_compared(
    usual: Logged, made_again: None, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(usual.folder, HISTORY).unlink()
    assert rerun(usual) == 0
    assert f"{HISTORY}, is not in {usual.folder}: less is compared.\nidentical" in capsys.readouterr().out
    Path(usual.folder, CONFIG).unlink()
    assert rerun(usual) == 2
    assert "its files were moved or lost; the command that started it makes it again" in capsys.readouterr().err


def test_a_tampered_run_is_refused_before_anything_is_made(usual: Logged, capsys: pytest.CaptureFixture[str]) -> None:
    run = usual
    path = Path(run.folder, "definition", "config.yaml")
    path.write_text(path.read_text().replace("name: elman", "_target_: os.system"))
    count = len(search(run.uri))
    assert rerun(run) == 2
    assert "model._target_ = 'os.system': refused" in capsys.readouterr().err
    assert len(search(run.uri)) == count


def test_artifacts_cannot_lead_out_of_the_folder_of_their_run(usual: Logged, tmp_path: Path) -> None:
    run = usual
    (tmp_path / "secret").write_text("x")
    Path(run.folder, "link.parquet").symlink_to(tmp_path / "secret")
    for name in ("../x", "/etc/passwd", "a/../../x", "..\\x", "file:///etc/passwd", "link.parquet"):
        with pytest.raises(ConfigError, match="outside the folder"):
            run.read(name)


def test_a_name_that_is_not_one_run_is_refused_with_the_choice(logged: Callable[..., Logged]) -> None:
    run, other = logged("slug=names"), logged("slug=names")
    with pytest.raises(ConfigError, match=r"not one run but (.|\n)*" + other.run_id):
        find(run.uri, run.name)
    assert {found.run_id for found in find(run.uri, "names")} == {run.run_id, other.run_id}
    assert find(run.uri, run.run_id[:12])[0].run_id == run.run_id


@pytest.mark.parametrize("wanted", ["no such run", "0" * 32, "x' OR '1'='1", "%", "tour%"])
def test_what_names_no_run_is_refused(usual: Logged, wanted: str) -> None:
    with pytest.raises(ConfigError, match="no run has"):
        find(usual.uri, wanted)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["x", "--store", f"sqlite:///{tmp_path}/none.db"]) == 2
    assert "no such store" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_all_runs_of_a_slug_are_made_again_and_summed_up(
    logged: Callable[..., Logged], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = logged("slug=several"), logged("slug=several", "seed=1")
    assert main(["several", "--store", first.uri]) == 0
    total = len(numbers(first)) + len(numbers(second)) + 2 * len(MARKS)
    last = f"identical: 2 of 2 runs, {total:,} of {total:,} values are the same"
    assert capsys.readouterr().out.splitlines()[-1] == last
    Path(second.folder, "definition", "config.yaml").unlink()
    assert main(["several", "--store", first.uri]) == 2
    said = capsys.readouterr()
    assert f"{second.run_id} cannot be reproduced" in said.err
    assert said.out.splitlines()[-1].startswith("different: 1 of 2 runs, ")
