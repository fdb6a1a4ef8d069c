"""Which update is taken apart, how it is made once more, and what is said of it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from study import api
from study.analysis.autopsy import Autopsy, choose
from study.analysis.autopsy.words import sentence
from study.ask import autopsy, examination
from study.errors import ConfigError
from study.installation import CHECKOUT
from study.reproduce.replay import FOLDER, recorded
from study.reproduce.restore import restore_run
from study.reproduce.rewind import before, states_before
from study.schema import Config
from study.tracking.answers import given
from study.tracking.reader import Logged, find_one
from study.train import train

Configure = Callable[..., Config]
SMALL = ("model.hidden_size=4", "task.batch_size=128", "probe=none", "trainer.max_updates=40")
LEVEL = np.ones(60)


SHARED = ("optimizer=sgd", "optimizer.lr=0.5", "clip=norm", "clip.threshold=0.01", "bptt.k2=10")
MADE: dict[str, str] = {}
"""The run that several tests ask, of every store."""


def shared(configure: Configure, store: str) -> Logged:
    if store not in MADE:
        MADE[store] = trained(configure, *SHARED)[0].run_id
    return find_one(store, MADE[store])


def trained(configure: Configure, *overrides: str) -> tuple[Logged, Config]:
    config = configure(*overrides[:1], *SMALL, *overrides)
    return find_one(config.tracking.uri, train(config).run_id), config


def record(run: Logged) -> dict[str, Any]:
    """All that a store has of a run."""
    now = find_one(run.uri, run.run_id)
    files = {name: now.read(name) for name in now.files()}
    return {"tags": dict(now.tags), "params": dict(now.params), "points": sorted(now.points()), "files": files}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One cheap probe in place of all."""
    plan = {"start": True, "every": None, "per_decade": None, "sharpness": {"iterations": 2}}
    monkeypatch.setattr(examination, "option", lambda *_: plan)


def leap(at: int, height: float) -> np.ndarray:
    values = LEVEL.copy()
    values[at - 1] = height
    return values


def test_an_update_that_is_asked_for_is_chosen_else_the_divergence_else_a_leap_of_the_norm_else_of_the_loss() -> None:
    norms, losses = leap(40, 500.0), leap(30, 5.0)
    assert choose(losses, norms, True, 12)[:3] == (12, 12, "asked")
    assert choose(losses, norms, True)[:3] == (60, 60, "diverged")
    assert choose(losses, norms, False)[:4] == (40, 40, "spike", 500.0)
    assert choose(losses, leap(40, 50.0), False)[:3] == (29, 29, "loss")
    assert choose(LEVEL, leap(40, 50.0), False)[:4] == (40, 40, "largest", 50.0)
    assert choose(LEVEL[:5], leap(3, 2.0)[:5], False)[:3] == (3, 3, "largest")


def test_of_an_update_that_is_not_finite_the_last_finite_one_before_is_taken_apart() -> None:
    losses, norms = leap(60, np.nan), leap(59, np.inf)
    assert choose(losses, norms, True)[:3] == (58, 60, "diverged")
    assert not choose(leap(1, np.nan)[:1], LEVEL[:1], True).finite


@pytest.mark.parametrize("asked", [0, -1, 61])
def test_an_update_that_was_not_made_is_refused(asked: int) -> None:
    with pytest.raises(ConfigError, match=rf"UPDATE = {asked}: the run made updates 1 to 60"):
        choose(LEVEL, LEVEL, False, asked)


STREAM = ("task=language_text", f"task.path={CHECKOUT}/pyproject.toml", "task.seq_len=12", "model=gru")
SHORT = ("task=forecasting_stocks", "task.seq_len=24", "task.horizon=10")
SETTINGS = [
    (*SHORT, "bptt.k2=8", "bptt.k1=4", "optimizer=sgd", "schedule=cosine", "clip=autoclip", "regularizer=omega"),
    (*SHORT, "model=lstm", "model.dropout=0.3", "model.num_layers=2", "bptt.update=sequence", "clip=per_step"),
    (*STREAM, "bptt=adaptive", "bptt.k1=2", "bptt.k2_min=2", "bptt.k2_max=25", "loss.scale=initial"),
    (*STREAM, "bptt=artbp", "bptt.length=12", "bptt.block=3", "schedule=plateau", "model.dropout=0.2"),
]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: " ".join(setting)[:40])
def test_every_update_can_be_made_once_more_to_the_same_bits(configure: Configure, setting: tuple[str, ...]) -> None:
    run, config = trained(configure, *setting, "trainer.validate_every=10")
    wanted = [20, 21, 22]
    rewound = states_before(run, config, wanted)
    assert rewound.made == 22
    random = torch.get_rng_state()
    for update in wanted:
        with before(run, config, rewound.states[update], update) as moment:
            made = moment.make()
            assert len(moment.module.history) == update
        assert np.float32(made.loss) == recorded(run)[update - 1, 0]
    assert torch.equal(torch.get_rng_state(), random)
    assert states_before(run, config, [21]).made < 21  # a state was kept


def test_an_autopsy_says_what_it_found_and_leaves_the_run_as_it_was(
    configure: Configure, store: str, quick: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shared(configure, store)
    was = record(run)
    assert autopsy.main([run.run_id[:12], "--store", run.uri, "--update", "20", "--folder", "found"]) == 0
    assert record(run) == was
    shown = capsys.readouterr()
    assert "a replay of 21 of 40 updates" in shown.err
    assert "At update 20 the gradient norm was" in shown.out
    (answer,) = given(run)
    assert answer.tags["kind"] == "autopsy"
    assert answer.tags["update"] == "20"
    page = Path("found/autopsy.html").read_text()
    assert re.search(r"\d+ updates made again\. All 21 up to the last of these are identical to those recorded", page)
    assert "<svg" in page
    assert {"sequences.csv", "lags.csv", "parameters.csv", "probes.csv"} <= {
        path.name for path in Path("found").iterdir()
    }
    found = api.autopsy(run.run_id, 20, run.uri)
    assert found.sentence in shown.out
    assert list(found.sequences["update"].unique()) == [19, 20, 21]
    for table in (found.sequences, found.lags, found.parameters):
        np.testing.assert_allclose(table.groupby("update")["share"].sum(), 1, rtol=1e-5)
    assert found.lags["lag"].max() == 9
    assert found.examined.left == pytest.approx(0.01 / found.examined.norm, rel=1e-5)
    assert found.examined.step == pytest.approx(0.005 / _weights(run, found), rel=1e-3)
    assert [*given(run)] == [answer]


def _weights(run: Logged, found: Autopsy) -> float:
    """The norm of the weights before the update."""
    config, update = restore_run(run, None).config, found.chosen.update
    with before(run, config, states_before(run, config, [update]).states[update], update) as moment:
        return float(torch.cat([p.detach().flatten() for p in moment.bptt.model.parameters()]).norm())


def test_a_run_that_left_the_finite_numbers_is_told_from_the_last_finite_update_on(
    configure: Configure, quick: None
) -> None:
    run, _ = trained(
        configure, "model=elman", "clip=none", "optimizer=sgd", "optimizer.lr=1e30", "trainer.divergence=null"
    )
    rows = recorded(run)
    assert not np.isfinite(rows[-1, :3]).all()
    found = autopsy.autopsy(run)
    assert found.chosen.event == len(rows)
    assert np.isfinite(rows[found.chosen.update - 1, :3]).all()
    assert f"At update {len(rows)} the loss or its gradient left the finite numbers" in found.sentence
    assert f"At update {found.chosen.update}, the last finite one before," in found.sentence


def test_a_run_whose_first_update_was_not_finite_has_no_gradient_to_take_apart(
    configure: Configure, quick: None
) -> None:
    run, _ = trained(
        configure, "clip=none", "task.batch_size=8", "model.gain=1e30", "model=elman", "model.activation=relu"
    )
    found = autopsy.find_out(run.run_id, None, run.uri)
    assert "there is no gradient to take apart" in found.sentence


def test_a_machine_that_computes_other_numbers_is_refused(configure: Configure, quick: None) -> None:
    run, _ = trained(configure)
    file = Path(run.folder, "gradients.parquet")
    table = run.table("gradients.parquet")
    table["loss"] = table["loss"].where(table["update"] != 11, 1.0).astype("float32")
    table.to_parquet(file)
    with pytest.raises(ConfigError, match="first at update 11"):
        autopsy.autopsy(run, 20)


def test_a_fork_is_taken_apart_from_its_first_own_update_on(configure: Configure, quick: None) -> None:
    run, _ = trained(configure, *SHORT, "optimizer=sgd")
    forked = api.fork(run.run_id, 20, "optimizer.lr=0.3", store=run.uri).index[1]
    found = api.autopsy(forked, 21, run.uri)
    assert list(found.lags["update"].unique()) == [21, 22]
    with pytest.raises(ConfigError, match=r"update = 20: .* goes on from update 20 of the run it forks"):
        api.autopsy(forked, 20, run.uri)
    assert FOLDER.is_dir()


def test_a_sentence_tells_concentrated_from_spread_and_near_from_far(
    configure: Configure, store: str, quick: None
) -> None:
    found = autopsy.autopsy(shared(configure, store))
    assert found.chosen.why == "largest"
    assert found.sentence.startswith("Nothing stands out (no norm above 100 times its level)")
    examined = found.examined
    examined.shares.sequences[:] = 0.0
    examined.shares.sequences[3:6] = torch.tensor([0.3, 1.1, -0.4])
    assert "1 of 128 sequences carries 110% of it, others pull" in sentence(found.chosen, examined, None, {}, {})
    examined.shares.sequences[:] = 1 / 128
    spread = sentence(found.chosen, examined, None, {}, {"sharpness/of_limit": 3.0})
    assert "spread over its 128 sequences (the largest share is 1%, a fair one 1%)" in spread
    assert "sharpness" not in spread
    examined.shares.lags.shares[:] = 0
    examined.shares.lags.shares[7] = 1
    assert "100% of it flowed back 7 steps or more" in sentence(found.chosen, examined, None, {}, {})
