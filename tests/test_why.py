"""A finished run asked why it failed: what it answers, what it leaves as it was, what it refuses."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from study import api
from study.analysis.causes.tested import TABLE, first
from study.ask import fork, why
from study.errors import ConfigError
from study.reproduce.compare import HISTORY, numbers
from study.reproduce.replay import at_end, between_batches, recorded
from study.reproduce.rerun import rerun
from study.reproduce.restore import restore_run
from study.schema import Config
from study.tasks import build
from study.tracking.answers import given, sentence
from study.tracking.reader import Logged, find_one, search
from study.train import train

Configure = Callable[..., Config]
SHORT = ("model.hidden_size=4", "trainer.max_updates=40", "trainer.validate_every=8", "task.batch_size=256")
SMALL = (*SHORT, "trainer.checkpoint=null")


@pytest.fixture
def logged(configure: Configure) -> Callable[..., Logged]:
    def trained(*overrides: str) -> Logged:
        config = configure(*SMALL, *overrides)
        return find_one(config.tracking.uri, train(config, overrides).run_id)

    return trained


def latest(run: Logged) -> Logged:
    return find_one(run.uri, run.run_id)


def causes(run: Logged) -> Sequence[tuple[str, str]]:
    """Of the record of a run."""
    found = run.table(TABLE)
    return list(zip(found["cause"], found["found"], strict=True))


# The end of every run.


def test_a_run_that_is_not_ahead_keeps_the_table_of_its_causes_and_a_rerun_has_the_same(
    logged: Callable[..., Logged], capsys: pytest.CaptureFixture[str]
) -> None:
    run = logged("optimizer=sgd", "optimizer.lr=1e-7")
    assert ("step size", "supported") in causes(run)
    assert ("sensitivity", "not measured") in causes(run)
    found = rerun(run, restore_run(run, None))
    assert found.identical, found
    assert "Causes: step size comes first" in found.summary
    assert f"study-why {found.run_id}` tests all of them" in found.summary
    assert set(numbers(run)["source"]) >= {TABLE, HISTORY}


def test_a_run_that_solved_its_task_keeps_none_and_is_told_so_in_one_sentence(
    logged: Callable[..., Logged], capsys: pytest.CaptureFixture[str]
) -> None:
    run = logged("probe=none", "trainer.max_updates=1")
    assert TABLE in set(run.files())
    run.tag({"outcome": "solved"})
    assert why.main([run.run_id, "--store", run.uri]) == 0
    assert "is solved: rmse" in capsys.readouterr().out
    assert not [one for one in given(run) if one.tags["kind"] != "why"]


# The question.


class OneByOne:
    """The forks in this process: to start others takes longer than to train them."""

    def __init__(self, *_: object):
        pass

    def __enter__(self) -> "OneByOne":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    map = staticmethod(map)


def test_why_answers_with_every_cause_and_with_forks_and_leaves_the_run_as_it_was(
    logged: Callable[..., Logged], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork, "ProcessPoolExecutor", OneByOne)
    run = logged("optimizer=sgd", "optimizer.lr=0.3", "bptt.k2=20", "probe=none")
    before = numbers(run), dict(run.tags), set(run.files())
    assert why.main([run.run_id, "--store", run.uri]) == 0
    told = capsys.readouterr()
    assert "a replay of at most 40 updates" in told.err
    assert "forks of" in told.err
    answer, *_ = [one for one in given(latest(run)) if one.tags["kind"] == "why"]
    assert {"answer/why.html", "answer/causes.csv", "answer/figures/forks.svg"} <= set(answer.files())
    page = answer.read("answer/why.html").decode()
    for words in ("nothing to learn", "expressivity", "Runs made to tell them apart", "What this cannot know"):
        assert words in page
    forks = [one for one in given(latest(run)) if one.tags["kind"] == "fork"]
    assert {"bptt.k1=20 bptt.k2=40", "optimizer.lr=0.1"} <= {one.tags["treatment"] for one in forks}
    assert {one.tags["forked_at"] for one in forks} <= {"28", "29", "30"}
    wider = search(run.uri, f"tags.varies = '{run.run_id}'")
    assert [one.params["model.hidden_size"] for one in wider] == ["8"]
    after = numbers(latest(run)), dict(latest(run).tags), set(latest(run).files())
    assert before[0].equals(after[0])
    assert before[1:] == after[1:]


def test_of_a_run_destroyed_at_once_the_network_before_it_is_measured_and_a_smaller_rate_is_tried_from_the_start(
    logged: Callable[..., Logged],
) -> None:
    run = logged("optimizer=sgd", "optimizer.lr=1e5", "probe=none")
    assert run.tags["outcome"] in ("ruined", "diverged")
    found = api.why(run.run_id, store=run.uri)
    assert found["cause"].tolist() == ["gradient", "reach", "step size"]
    assert found["found"].tolist() == ["ruled out", "ruled out", "supported"]
    assert found["number"].tolist()[0] > 0  # measured before the first update: the record has none
    (new,) = search(run.uri, f"tags.varies = '{run.run_id}'")
    assert float(new.params["optimizer.lr"]) < 1e5
    assert new.tags["outcome"] not in ("ruined", "diverged")
    said = sentence(next(one for one in given(latest(run)) if one.tags["kind"] == "why"))
    assert said.startswith(f"{run.started_as} ({run.tags['outcome']}, ")
    assert ("on test" in said) == (run.tags["outcome"] == "ruined")
    assert "nan" not in said


def test_without_forks_none_is_trained_and_the_command_to_make_one_is_given(
    logged: Callable[..., Logged], capsys: pytest.CaptureFixture[str]
) -> None:
    run = logged("optimizer=sgd", "optimizer.lr=1e-7", "probe=none")
    assert why.main([run.run_id, "--store", run.uri, "--no-forks"]) == 0
    out = capsys.readouterr().out
    assert "step size comes first" in out
    assert f"study-fork {run.run_id} --at 30 optimizer.lr=1e-06" in out
    assert [one.tags["kind"] for one in given(latest(run))] == ["why"]


def test_what_the_diagnosis_says_otherwise_is_said_beside_the_cause(logged: Callable[..., Logged]) -> None:
    run = logged("optimizer=sgd", "optimizer.lr=1e-7", "probe=end")
    run.tag({"cause": "capacity"})
    finding = why.find_out(run.run_id, run.uri, forks=False)
    (beside,) = [section for section in finding.sections if section.title == "Beside the diagnosis"]
    assert "The diagnosis says capacity, these tests step size: here capacity is not measured" in beside.texts[0]


def test_a_state_to_follow_is_tested_at_further_lengths_and_by_what_the_network_does_to_its_state(
    logged: Callable[..., Logged],
) -> None:
    run = logged("task=labelling_parity", "task.seq_len=6", "task.horizon=3", "task.sequences=512", "task.held_out=64")
    finding = why.find_out(run.run_id, run.uri, forks=False)
    cells = [[cell.text for cell in row.cells] for row in finding.sections[0].tables[0].rows]
    (told,) = [" ".join(row) for row in cells if row[0] == "expressivity"]
    assert " at 12 (guess " in told
    assert " at 24 (guess " in told
    assert "multiplies its state by eigenvalues down to" in told


@pytest.mark.parametrize("outcome", ["killed", "pruned"])
def test_a_run_that_did_not_end_by_itself_has_no_cause(logged: Callable[..., Logged], outcome: str) -> None:
    run = logged("probe=none", "trainer.max_updates=1")
    run.tag({"outcome": outcome})
    with pytest.raises(ConfigError, match=f"its outcome is {outcome}"):
        why.find_out(run.run_id, run.uri)
    with pytest.raises(ConfigError, match="no run has this id"):
        why.find_out("nothing", run.uri)


# What it stands on.


@pytest.mark.parametrize("keep", [True, False])
def test_a_run_brought_back_to_its_end_has_the_weights_that_it_ended_with(
    configure: Configure, tmp_path: Path, keep: bool
) -> None:
    from study.tracking import provenance
    from study.tracking.place import Place
    from study.training import checkpoint

    config = configure(*SHORT, "bptt.k2=20", "probe=none", "trainer.max_updates=30")
    place = Place(checkpoints=checkpoint.FOLDER) if keep else Place()
    run = find_one(config.tracking.uri, train(config, place=place).run_id)
    module = at_end(run, config)
    assert len(module.history) == len(recorded(run)) == 30
    assert provenance.weights(module.model) == run.tags["weights_final"]


def test_the_places_between_batches_are_where_batches_end(configure: Configure) -> None:
    config = configure(*SMALL, "bptt.k2=20")
    batches = build(config.task, config.data, config.seed).batches("train")
    steps = next(batches.epoch(0)).longest
    each = -(-steps // 20)
    found = [between_batches(config, batches, update) for update in range(2 * each + 1)]
    assert found == [update // each * each for update in range(2 * each + 1)]


def test_first_is_none_where_nothing_was_tested() -> None:
    assert first([]) is None
