"""A run can be taken up after any of its updates, and goes on from there as it was or under another treatment."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from study import api
from study.ask import fork
from study.columns import RATE
from study.errors import ConfigError
from study.report.pages import run as run_page
from study.report.pages import study as study_page
from study.reproduce import replay
from study.reproduce.compare import compare
from study.reproduce.fork import beginning, start
from study.reproduce.replay import recorded, state_at
from study.reproduce.rerun import rerun
from study.reproduce.restore import restore_run
from study.resume import resume
from study.schema import Config
from study.tracking.answers import AT, FROM, given
from study.tracking.place import Place
from study.tracking.reader import Logged, find_one, search
from study.train import train
from study.training import checkpoint
from tests.test_resume import COMMON, SETTINGS, Killed, Life, overrides

Configure = Callable[..., Config]


def trained(config: Config, place: Place = Place()) -> Logged:  # noqa: B008, it is frozen
    return find_one(config.tracking.uri, train(config, place=place).run_id)


def state_near(run: Logged, config: Config, update: int) -> Path:
    """The state after an update, or at the end of the batch in which it lies."""
    try:
        return state_at(run, config, update)
    except ConfigError as error:
        return state_at(run, config, int(re.findall(r"after update (\d+)", str(error))[-1]))


@pytest.fixture
def parent(configure: Configure, once: Callable[[Config], Logged]) -> tuple[Logged, Config]:
    """One run for all tests: to be forked leaves it as it was."""
    config = configure(*COMMON, "optimizer=sgd", "optimizer.lr=0.1")
    return once(config), config


@pytest.mark.parametrize("setting", SETTINGS, ids=" ".join)
def test_a_run_taken_up_after_any_update_goes_on_to_the_same_bits(
    configure: Configure, setting: tuple[str, ...]
) -> None:
    config = configure(*overrides(setting))
    run = trained(config)
    last = len(recorded(run)) - 10 * (run.tags["outcome"] != "diverged") - 1
    file = state_near(run, config, random.Random(str(setting)).randint(1, max(1, last)))
    again = trained(config, Place(start=checkpoint.load(file)))
    assert str(compare(run, again)).startswith("identical")


@pytest.mark.parametrize(
    ("before", "change"),
    [
        (("clip=norm", "clip.threshold=0.5"), ("clip.threshold=0.001",)),
        (("clip=autoclip",), ("clip=zclip",)),
        (("optimizer=sgd",), ("optimizer.lr=0.7",)),
        (("optimizer=adam",), ("optimizer=muon",)),
        (("schedule=plateau",), ("schedule.factor=0.5", "optimizer.lr=0.01")),
        (("schedule=constant",), ("schedule=cosine",)),
        (("bptt.k2=20",), ("bptt.k2=10",)),
        (("model.dropout=0.3", "model.num_layers=2"), ("model.dropout=0.0",)),
        (("regularizer=none",), ("regularizer=orthogonality",)),
    ],
    ids=str,
)
def test_a_fork_begins_as_its_parent_and_parts_at_its_first_update(
    configure: Configure, once: Callable[[Config], Logged], before: tuple[str, ...], change: tuple[str, ...]
) -> None:
    run = once(configure(*COMMON, "trainer.validate_every=12", *before))
    at = 18
    (one,) = fork.fork(run, [change], at)
    histories = [found.table("gradients.parquet") for found in (run, one)]
    shared = [column for column in histories[0] if column in histories[1]]
    old, new = (table[shared].to_numpy() for table in histories)
    assert np.array_equal(old[:at], new[:at], equal_nan=True)
    assert not np.array_equal(old[at : at + 2], new[at : at + 2], equal_nan=True)
    assert (one.tags[FROM], one.tags[AT], one.tags["kind"]) == (run.run_id, str(at), "fork")
    assert one.run_id in [found.run_id for found in given(run)]


def test_numbers_of_the_fork_are_in_force_from_its_first_update_on(parent: tuple[Logged, Config]) -> None:
    run, _ = parent
    table = fork.fork(run, [("optimizer.lr=0.025", "clip=norm", "clip.threshold=0.01")], 18)[0].table(
        "gradients.parquet"
    )
    assert np.allclose(table["lr"], [0.1] * 18 + [0.025] * 22)
    assert (table["grad_norm/applied"][18:] <= 0.01 * (1 + 1e-6)).all()
    assert (table["grad_norm/applied"][:18] == table["grad_norm/total"][:18]).all()


def test_a_fork_that_changes_no_number_is_its_parent_also_in_what_its_optimizer_counts(configure: Configure) -> None:
    run = trained(configure(*COMMON, "optimizer=asgd", "optimizer.t0=5"))
    (one,) = fork.fork(run, [("trainer.divergence=1e5",)], 18)
    assert np.array_equal(recorded(run), recorded(one))
    assert {key: one.measures[key] for key in run.measures if key.endswith(("/val", "/test"))} == {
        key: value for key, value in run.measures.items() if key.endswith(("/val", "/test"))
    }


def test_options_for_which_the_parent_kept_no_moments_are_refused(configure: Configure) -> None:
    run = trained(configure(*COMMON, "optimizer=rmsprop", "optimizer.momentum=0"))
    with pytest.raises(ConfigError, match="optimizer: the run kept no 'momentum_buffer' for these options"):
        fork.fork(run, [("optimizer.momentum=0.9",)], 18)


def test_a_budget_in_steps_counts_what_the_parent_has_read(configure: Configure) -> None:
    run = trained(configure(*COMMON, "trainer.max_updates=null", "trainer.max_steps=125000", "bptt.k2=20"))
    (one,) = fork.fork(run, [("bptt.k2=10",)], 6)
    read = [float(found.tags["steps_read"]) for found in (run, one)]
    assert len(recorded(one)) - 6 == pytest.approx(2 * (len(recorded(run)) - 6), abs=2)
    assert read[0] > 0


def test_several_values_make_a_fork_of_each_and_the_run_stays_as_it_was(
    parent: tuple[Logged, Config], capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = parent
    before = (dict(run.tags), dict(run.params), dict(run.measures), sorted(run.files()))
    others = {one.run_id for one in given(run)}
    arguments = [run.run_id, "--store", run.uri, "--at", "12", "clip=norm", "clip.threshold=0.01,0.1"]
    assert fork.main(arguments) == 0
    said = capsys.readouterr()
    assert "Before 2 forks: a replay of 12 of 40 updates" in said.err
    assert "clip=norm clip.threshold=0.01: completed, rmse" in said.out
    after = find_one(run.uri, run.run_id)
    assert before == (dict(after.tags), dict(after.params), dict(after.measures), sorted(after.files()))
    forks = [one for one in given(run) if one.run_id not in others]
    made = {one.tags["treatment"] for one in forks}  # in the order in which they started, side by side
    assert made == {f"clip=norm clip.threshold={threshold}" for threshold in ("0.01", "0.1")}
    page = forks[0].read("answer/fork.html").decode()
    assert "24 of 24 updates are the same in every recorded number" in page
    table = api.fork(run.run_id, 12, "optimizer.lr=0.2", store=run.uri)
    assert table["params.optimizer.lr"].tolist() == [0.1, 0.2]


def test_the_pages_of_run_and_study_show_its_forks(parent: tuple[Logged, Config], tmp_path: Path) -> None:
    run, config = parent
    fork.fork(run, [("optimizer.lr=0.2",)], 12)
    of_run = run_page.write(run, "http://ui", tmp_path / "run").read_text()
    assert all(text in of_run for text in ("The run, and what became of it", "optimizer.lr=0.2, from 12"))
    of_study = study_page.write(config.slug, run.uri, "http://ui", tmp_path / "study").read_text()
    assert "optimizer.lr=0.2, from 12 of" in of_study[of_study.index("<h2>Asked") : of_study.index("<h2>Runs")]


@pytest.mark.parametrize(
    ("at", "overrides", "said"),
    [
        (41, ("optimizer.lr=1",), r"update = 41: run \w+ can be taken up after updates 1 to 40"),
        (0, ("optimizer.lr=1",), "update = 0"),
        (12, (), "needs a changed treatment"),
        (12, ("optimizer.lr=0.1",), "needs a changed treatment"),
        (12, ("seed=1",), "seed = 1: a fork keeps what its parent has"),
        (12, ("trainer.validate_every=9",), "trainer.validate_every = 9: a fork keeps what its parent has"),
        (12, ("optimizer.decay=matrices",), "optimizer.decay = matrices: a fork keeps"),
        (12, ("task.batch_size=64",), "task.batch_size = 64"),
        (12, ("model.hidden_size=5",), r"core.weight_ih_l0: \(5, 2\) in the fork, \(4, 2\) in the run"),
        (12, ("clip=nrm",), "clip = 'nrm': no such option; did you mean 'norm'?"),
        (12, ("optimizer.lr=interval(0,1)",), "an interval has no values to choose"),
        (12, ("trainer.max_updates=12",), "nothing is left of it"),
    ],
)
def test_what_is_no_fork_is_refused_and_nothing_is_trained(
    parent: tuple[Logged, Config], at: int, overrides: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = parent
    before = len(search(run.uri))
    assert fork.main([run.run_id, "--store", run.uri, "--at", str(at), *overrides]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert len(search(run.uri)) == before


def test_an_update_inside_a_batch_is_refused_with_the_next_place(configure: Configure) -> None:
    config = configure(*COMMON, "bptt.k2=20")
    with pytest.raises(ConfigError, match=r"update = 7: it lies inside a batch.* after update 9"):
        state_at(trained(config), config, 7)


def test_a_replay_that_computes_other_numbers_is_refused_with_the_first_of_them(
    parent: tuple[Logged, Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = parent
    record = recorded(run).copy()
    record[4, 0] += 1e-6
    monkeypatch.setattr(replay, "recorded", lambda _: record)
    with pytest.raises(ConfigError, match=r"first at update 5 \(loss .* then, .* here\)"):
        state_at(run, config, 12)


def test_a_kept_state_is_used_again_unless_its_updates_are_not_those_recorded(
    parent: tuple[Logged, Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, config = parent
    file = state_at(run, config, 12)
    trainings: list[int] = []
    real = replay.replay

    def counted(*given: Any) -> Any:
        trainings.append(given[1])
        return real(*given)

    monkeypatch.setattr(replay, "replay", counted)
    assert state_at(run, config, 12) == file
    assert trainings == []
    state = torch.load(file, weights_only=True)
    state["history"]["rows"][3, 0] += 1
    torch.save(state, file)
    state_at(run, config, 12)
    assert trainings == [12]


def test_a_fork_is_reproduced_and_resumed_from_the_state_of_its_parent(
    parent: tuple[Logged, Config], tmp_path: Path
) -> None:
    run, _ = parent
    change = ("optimizer.lr=0.3",)
    (one,) = fork.fork(run, [change], 18)
    assert rerun(one, restore_run(one, None)).identical
    with pytest.MonkeyPatch.context() as patch:  # dies before it has a checkpoint of its own
        Life(patch, 20)
        tags = {"kind": "fork", FROM: run.run_id, AT: 18, "victim": "yes"}
        forked = restore_run(run, None, change).config
        state = start(run, restore_run(run, None), forked, 18)
        with pytest.raises(Killed):
            train(forked, change, Place(tags=tags, checkpoints=tmp_path, start=state))
    (lost,) = [found.run_id for found in search(run.uri, "tags.victim = 'yes'")]
    checkpoint.path(tmp_path, lost).unlink(missing_ok=True)
    resume(lost, run.uri, tmp_path)
    assert str(compare(one, find_one(run.uri, lost))).startswith("identical")


def test_a_run_of_its_own_begins_as_it_was_drawn(parent: tuple[Logged, Config]) -> None:
    assert beginning(parent[0], None) is None


def test_a_diverged_run_is_taken_up_before_it_diverged(configure: Configure) -> None:
    run = trained(configure(*COMMON, "optimizer=sgd", "optimizer.lr=1e8", "model=elman"))
    last = len(recorded(run)) - 1
    assert run.tags["outcome"] == "diverged"
    assert last >= 1
    (other,) = fork.fork(run, [("optimizer.lr=0.01",)], 1)
    assert np.array_equal(recorded(run)[:1], recorded(other)[:1])
    assert recorded(other)[1, RATE] == pytest.approx(0.01)
    with pytest.raises(ConfigError, match=f"after updates 1 to {last}"):
        fork.fork(run, [("optimizer.lr=0.01",)], last + 1)
