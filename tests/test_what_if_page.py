"""What `study-what-if` answers about tracked runs: its page, its experiment, its table in a notebook."""

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from omegaconf import OmegaConf

from study import api
from study.ask.what_if import main
from study.errors import ConfigError
from study.installation import CONF
from study.schema import SweepingConfig, check
from study.schema.identity import deciding
from study.sweep.planning.build import build_plan
from study.sweep.planning.composer import Composer
from study.tracking import answers
from study.tracking.reader import Logged, find
from study.train import train
from tests.composed import configured
from tests.test_what_if import OWN, TINY, UPDATES


@pytest.fixture(scope="module")
def runs(store: str, tmp_path_factory: pytest.TempPathFactory) -> list[Logged]:
    """Two tracked runs of an experiment, without clipping."""
    here = ["slug=asked", f"tracking.uri={store}", "trainer.progress_bar=false"]
    with chdir(tmp_path_factory.mktemp("asked")):
        for seed in (0, 1):
            train(configured("forecasting_sine_mix", *TINY, *here, f"seed={seed}"))
    return find(store, "asked")


@pytest.fixture
def said(runs: list[Logged], store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Asks, and gives what was printed; the page is in the test's folder."""

    def ask(wanted: str, *clips: str, code: int = 0) -> str:
        assert main([wanted, *clips, "--store", store, "--folder", str(tmp_path / "page")]) == code
        printed = capsys.readouterr()
        return printed.out + printed.err

    return ask


def test_a_run_that_is_asked_stays_as_it_was_and_has_the_answer_under_it(
    runs: list[Logged], store: str, said: Callable[..., str], tmp_path: Path
) -> None:
    run, files = runs[0], sorted(runs[0].files())
    text = said(run.run_id)
    assert "guarding (" in text
    assert f"{UPDATES} updates of 1 run(s): some 1 s" in text
    after = find(store, run.run_id)[0]
    assert (after, sorted(after.files())) == (run, files)
    (answer,) = answers.given(run)
    assert (answer.tags["kind"], answer.tags[MLFLOW_PARENT_RUN_ID]) == ("what-if", run.run_id)
    assert {"answer/what-if.html", "answer/clipping.yaml", "answer/what-if.csv"} < set(answer.files())
    page = (tmp_path / "page" / "what-if.html").read_text()
    assert f"at {UPDATES} of {UPDATES} updates" in page
    assert "Not asked: " in page


def test_the_experiment_that_is_written_trains_the_run_beside_other_policies(
    runs: list[Logged], said: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(runs[0].run_id)
    name = f"clipping_{runs[0].run_id[:8]}"
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / f"{name}.yaml").write_text((tmp_path / "page" / "clipping.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    typed = [f"experiment={name}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        master = compose("train", [*typed, f"hydra.searchpath=[file://{tmp_path}]"], return_hydra_config=True)
        composer = Composer(GlobalHydra.instance().config_loader(), master)
        common = check(OmegaConf.masked_copy(master, list(SweepingConfig.model_fields)), SweepingConfig)
        plan = build_plan(common.sweep, typed, composer)
    own, *others = plan.arms.values()
    assert deciding(own.config) == deciding(configured("forecasting_sine_mix", *TINY))
    assert 2 <= len(others) <= 3
    for arm in others:
        assert deciding(arm.config.model_copy(update={"clip": own.config.clip})) == deciding(own.config)
    assert plan.seeds == [0, 1, 2]


def test_where_nothing_would_differ_there_is_no_experiment(
    runs: list[Logged], said: Callable[..., str], tmp_path: Path
) -> None:
    text = said(runs[0].run_id, "norm=1e9")
    assert "None would have applied another gradient than the run did" in text
    assert "To train" not in text
    assert not (tmp_path / "page" / "clipping.yaml").exists()
    assert "there is nothing to train" in (tmp_path / "page" / "what-if.html").read_text()


def test_an_experiment_is_answered_by_arm_and_policy(
    runs: list[Logged], store: str, said: Callable[..., str], tmp_path: Path
) -> None:
    text = said("asked", "norm=.1", "norm")
    assert "7 clip policies, 2 runs, 80 updates in all" in text
    table = pd.read_csv(tmp_path / "page" / "what-if.csv")
    assert sorted(table["run_id"].unique()) == sorted(run.run_id for run in runs)
    assert table["arm"].nunique() == 1
    page = (tmp_path / "page" / "what-if.html").read_text()
    assert "norm threshold=p90" in page
    assert find(store, text.partition("in MLflow: run ")[2].split()[0])[0].tags.get(MLFLOW_PARENT_RUN_ID) is None
    assert find(store, "asked") == runs


def test_what_is_predicted_stands_beside_what_training_under_the_policy_did(
    store: str, said: Callable[..., str], tmp_path: Path
) -> None:
    here = ["slug=counterfactual", f"tracking.uri={store}", "trainer.progress_bar=false"]
    clipped = ["clip=norm", "clip.threshold=0.3"]
    for own in (["seed=0"], ["seed=0", *clipped], ["seed=0", "optimizer.lr=0.2", *clipped], ["seed=1"]):
        train(configured("forecasting_sine_mix", *TINY, *here, *own))
    said("counterfactual", "norm=.3,.4")
    table = pd.read_csv(tmp_path / "page" / "what-if.csv")
    free, clipped_too, other, without = (found.set_index("policy") for _, found in table.groupby("run_id", sort=False))
    norm, another = "norm threshold=0.3", "norm threshold=0.4"
    assert free["trained"][norm] == clipped_too["acted"][norm] > 0
    assert clipped_too["trained"]["norm threshold=0.3"] == clipped_too["acted"][norm]
    assert np.isnan([free["trained"][another], without["trained"][norm], other["trained"][another]]).all()
    assert other["trained"][norm] == other["acted"][norm]  # another rate: another run


def test_the_same_numbers_are_in_a_notebook(runs: list[Logged], store: str) -> None:
    table = api.what_if(runs[0].run_id, "norm=.1 none", store)
    assert table["policy"].tolist() == ["none", "norm threshold=0.1"]
    assert table["own"].tolist() == [True, False]
    norms = api.history(runs[0].run_id, store)["grad_norm/total"]
    assert table["acted"][1] == pytest.approx((norms > 0.1).mean())
    assert set(api.what_if("asked", "norm=.1", store)["run_id"]) == {run.run_id for run in runs}
    with pytest.raises(ConfigError, match="no run has this id"):
        api.what_if("nobody", store=store)


def test_a_policy_in_a_file_of_its_own_is_asked_where_it_is_trusted(
    store: str, tmp_path: Path, said: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    made = train(
        configured(
            "forecasting_sine_mix",
            *TINY,
            "slug=owned",
            f"tracking.uri={store}",
            "clip=own",
            f"clip.file={tmp_path}/clip.py",
        )
    )
    assert "add --trust-code" in said(made.run_id, "norm=.4", code=2)
    table = api.what_if(made.run_id, "norm=.4 none", store, trust_code=True)
    assert table["policy"].tolist() == ["own clip", "norm threshold=0.4", "none"]
    assert table["own"].tolist() == [True, False, False]
    assert np.isnan(table["first_difference"][1])
    assert table["first_difference"][2] > 0


def test_a_run_that_recorded_nothing_and_policies_that_cannot_be_read_are_refused(
    said: Callable[..., str], runs: list[Logged]
) -> None:
    assert "There is no answer:\nRUN = 'nobody'" in said("nobody", code=2)
    assert "There is no answer:\nCLIPS: 'x': no such policy" in said(runs[0].run_id, "x", code=2)
