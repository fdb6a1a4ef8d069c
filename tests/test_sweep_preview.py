"""A dry run: what it says of the time, and what it does not wait for."""

import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from study.installation import CONF
from study.schema import SweepingConfig, check
from study.sweep.planning.build import build_plan
from study.sweep.planning.composer import Composer
from study.sweep.preview import Expected, preview
from study.sweep.trials.ledger import Ledger
from study.sweep.trials.storage import open_study

DRY = """
import sys
from study.sweep.__main__ import main
sys.argv = ["study-sweep", "model=elman,gru", "clip=none,norm", "sweep.dry_run=true", *sys.argv[1:]]
main()
late = {"torch", "mlflow", "pandas", "pytorch_lightning"} & set(sys.modules)
assert not late, late
"""


def dry(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", DRY, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_dry_run_ends_before_torch_and_leaves_nothing(tmp_path: Path) -> None:
    made = dry(tmp_path)
    assert (made.returncode, made.stdout.count("budget:")) == (0, 4), made.stderr
    assert "time: not known" in made.stdout
    assert "sweep.dry_run=timed" in made.stdout
    assert not [*tmp_path.iterdir()]


def test_a_dry_run_refuses_what_a_sweep_refuses(tmp_path: Path) -> None:
    refused = dry(tmp_path, "optimizer.lr=-1")
    assert refused.returncode == 2
    assert "optimizer.lr" in refused.stderr
    assert not [*tmp_path.iterdir()]


def test_what_is_left_takes_as_long_as_what_is_made_where_every_arm_has_a_run() -> None:
    known = Expected({"a": 2, "b": 1}, {"a": 10.0, "b": 40.0, "done": 1000.0}, workers=2)
    assert known.seconds == 30.0
    assert "about 0:00:30 (workers: 2)" in str(known)
    partly = Expected({"a": 2, "b": 1}, {"a": 10.0}, workers=2)
    assert partly.seconds is None
    assert "arms without a run: 1 of 2" in str(partly)
    assert partly.record == {"runs": 3, "workers": 2, "seconds": None, "took": {"a": 10.0}}


@pytest.mark.usefixtures("stores")
def test_a_dry_run_counts_what_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    typed = ["sweep.dry_run=true", "slug=slug"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        master = compose("train", overrides=typed, return_hydra_config=True)
        common = check(OmegaConf.masked_copy(master, list(SweepingConfig.model_fields)), SweepingConfig)
        plan = build_plan(common.sweep, ["model=elman,gru"], Composer(GlobalHydra.instance().config_loader(), master))
    with open_study(common.sweep.storage, "slug", "minimize") as study:
        ledger = Ledger(study, plan)
        trial = ledger.claim()
        assert trial is not None
        ledger.finish(trial, 1.0, {"outcome": "completed"})
    preview(common, plan, lambda runs: min(runs, 2))
    assert "made: 1\nleft: 1\ntime: not known (workers: 1), arms without a run: 1 of 1" in capsys.readouterr().out
