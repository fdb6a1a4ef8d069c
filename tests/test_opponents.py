"""Claims of the opponents: the contract of each, kept scores, and what a network is told about them."""

import json
import math
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
import torch

from study import opponents, tasks
from study.errors import ConfigError
from study.opponents import OPPONENTS, Fitted, Score, best
from study.opponents import cache as keeping
from study.opponents.contract import choose
from study.opponents.registry import named
from study.schema.task import TASKS
from study.standing import skill, standing
from study.tasks import Batch, Task
from study.testing.opponents import OpponentContract
from study.tracking import provenance
from tests import samples
from tests.composed import configured

SMALL = (
    "forecasting_adding",
    "forecasting_sine_mix",
    "forecasting_stocks",
    "language_tinyshakespeare_word",
    "labelling_wnut17_ner",
)
"""Every opponent is held to its contract on the first of these that names it."""
OVERRIDES: dict[str, list[str]] = {}


@pytest.fixture(autouse=True, scope="module")
def _samples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Samples in the cache of downloads and in the user's hands."""
    OVERRIDES.update(samples.own(tmp_path_factory.mktemp("own")))
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNN_STUDY_CACHE", str(folder))
        for module, name, value in samples.fill(folder):
            patch.setattr(module, name, value)
        yield


@cache
def built(name: str, seed: int = 0) -> Task:
    config = configured(name, *OVERRIDES.get(name, []))
    return tasks.build(config.task, config.data, seed)


def task_of(opponent: str) -> Task:
    return next(task for name in SMALL if opponent in (task := built(name)).opponents)


@cache
def fitted_to(opponent: str, seed: int = 0) -> Fitted:
    name = next(name for name in SMALL if opponent in built(name).opponents)
    return opponents.fit(opponent, built(name, seed))


@pytest.mark.parametrize("name", list(OPPONENTS))
class TestEveryOpponent(OpponentContract):
    @pytest.fixture
    def task(self, name: str) -> Task:
        return task_of(name)

    @pytest.fixture
    def fitted(self, name: str) -> Fitted:
        return fitted_to(name)

    def test_it_says_whether_it_reads_ahead(self, name: str, fitted: Fitted) -> None:
        assert fitted.reads_ahead == OPPONENTS.config(name).reads_ahead

    def test_it_is_the_same_for_every_seed_and_draws_nothing_from_torch(self, name: str, task: Task) -> None:
        state = torch.get_rng_state()
        batch = next(task.batches("val").epoch(0))
        here, there = (fitted_to(name, seed).predict(batch, batch.inputs[:0]) for seed in (0, 1))
        assert torch.equal(here, there)
        assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", list(TASKS))
def test_every_task_names_opponents_of_its_family(name: str) -> None:
    task = built(name)
    assert task.opponents
    for opponent in named(task, bidirectional=True):
        assert configured(name, *OVERRIDES.get(name, [])).task.family in OPPONENTS.config(opponent).families


def test_har_is_an_opponent_where_the_target_is_a_volatility() -> None:
    config = configured("forecasting_stocks", "task.target=log_return")
    assert "har" in built("forecasting_stocks").opponents
    assert "har" not in tasks.build(config.task, config.data, 0).opponents


def test_what_reads_ahead_is_an_opponent_of_bidirectional_networks_alone() -> None:
    task = built("labelling_wnut17_ner")
    assert named(task, bidirectional=False) == ["word_tag", "perceptron"]
    assert named(task, bidirectional=True) == ["word_tag", "perceptron", "perceptron_both_ways"]


def test_an_unknown_opponent_is_refused_with_those_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    task = built("forecasting_adding")
    monkeypatch.setattr(task, "opponents", ("oracle",))
    with pytest.raises(ConfigError, match=r"Adding.opponents = \['oracle'\]: allowed are guess, persistence"):
        named(task, bidirectional=False)


class Constant(Fitted):
    """Predicts one number everywhere."""

    def __init__(self, value: float):
        self.value, self.label = value, f"constant {value}"

    def predict(self, batch: Batch, before: torch.Tensor) -> torch.Tensor:
        return torch.full_like(batch.targets, self.value)


def test_the_candidate_with_the_best_validation_measure_is_chosen_and_nan_is_the_worst() -> None:
    task = built("forecasting_adding")  # the answer is 1 in the mean
    assert choose(map(Constant, (0.0, 0.9, float("nan"), 3.0)), task).value == 0.9
    assert choose(map(Constant, (float("nan"), 5.0)), task).value == 5.0


def test_choosing_stops_when_patience_ends() -> None:
    made = []

    def candidates() -> Iterator[Constant]:
        for value in (0.0, 0.5, 0.4, 1.0):
            made.append(value)
            yield Constant(value)

    assert choose(candidates(), built("forecasting_adding"), patience=1).value == 0.5
    assert made == [0.0, 0.5, 0.4]


SETTINGS = configured("forecasting_stocks").task


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Task:
    """A task whose opponents take no time."""
    task = built("forecasting_stocks")
    monkeypatch.setattr(task, "opponents", ("mean", "persistence", "har"))
    return task


def scores(task: Task, folder: Path | None) -> dict[str, Score]:
    return opponents.scores(task, SETTINGS, "digest", folder)


def test_scores_are_kept_and_read_back_without_fitting(
    quick: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scores(quick, tmp_path / "opponents")
    assert list(made) == ["mean", "persistence", "har"]
    assert made["persistence"].metrics["test"] == quick.baseline_metrics("test")
    monkeypatch.setattr(keeping, "_score", None)  # nothing is fitted
    assert scores(quick, tmp_path / "opponents") == made


@pytest.mark.parametrize("content", [b"", b'{"label": "HAR"', b"\xff\xfe", b'{"label": "HAR", "seconds": 1}'])
def test_a_kept_score_that_cannot_be_understood_is_made_anew(quick: Task, tmp_path: Path, content: bytes) -> None:
    made = scores(quick, tmp_path)
    file = next(tmp_path.glob("*-har-*.json"))
    file.write_bytes(content)
    assert scores(quick, tmp_path)["har"].metrics == made["har"].metrics
    assert json.loads(file.read_bytes())["label"] == made["har"].label


def test_where_nothing_can_be_written_every_score_is_made(quick: Task, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert scores(quick, tmp_path / "file")["har"].metrics == scores(quick, None)["har"].metrics


def test_several_that_ask_at_once_fit_once(quick: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits, score = [], keeping._score

    def counting(name: str, task: Task) -> Score:
        fits.append(name)
        return score(name, task)

    monkeypatch.setattr(keeping, "_score", counting)
    asking = [threading.Thread(target=scores, args=(quick, tmp_path)) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert sorted(fits) == sorted(quick.opponents)


def test_the_key_tells_units_and_settings_apart_but_not_batch_sizes(tmp_path: Path) -> None:
    rows = samples.table(600).splitlines()
    cells = [row.split(",") for row in rows[1:]]
    scaled = [rows[0], *(",".join([date, *(repr(1024 * float(x)) for x in values)]) for date, *values in cells)]
    files = {"own.csv": rows, "scaled/own.csv": scaled}
    digests, keys = set(), []
    for name, lines in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        for more in ([], ["task.batch_size=7", "task.horizon=3"], ["task.season=3"]):
            config = configured("forecasting_csv", f"task.path={tmp_path / name}", "task.targets=[OT]", *more)
            task = tasks.build(config.task, config.data, 0)
            digests.add(provenance.data(task))
            keys.append(keeping._key(task, config.task, "data"))
    assert len(digests) == 1  # standardised, both tables are the same bits
    assert keys[0] == keys[1] != keys[2]
    assert keys[3] == keys[4] != keys[5]
    assert len(set(keys)) == 4


def of(*values: float) -> dict[str, Score]:
    return {
        f"opponent {i}": Score(label=str(i), seconds=0.0, metrics={"val": {"m": 0.0}, "test": {"m": value}})
        for i, value in enumerate(values)
    }


def test_the_best_opponent_is_the_hardest_to_beat_on_the_test_split() -> None:
    assert best(of(3.0, 1.0, 2.0), "m", "minimize") == "opponent 1"
    assert best(of(0.3, 0.1, 0.9), "m", "maximize") == "opponent 2"
    assert best(of(float("nan"), 5.0), "m", "maximize") == "opponent 1"


@pytest.mark.parametrize(
    ("value", "direction", "words"),
    [
        (0.979, "minimize", "ahead of"), (0.981, "minimize", "level with"), (1.019, "minimize", "level with"),
        (1.021, "minimize", "behind"), (math.nan, "minimize", "behind"), (1.0, "maximize", "level with"),
    ],
)  # fmt: skip
def test_a_run_is_level_with_an_opponent_whose_error_differs_by_less_than_a_seed_may(
    value: float, direction: Literal["minimize", "maximize"], words: str
) -> None:
    assert standing(value, 1.0, direction) == words


def test_skill_is_the_share_of_the_opponents_error_that_is_gone() -> None:
    assert skill(1.0, 2.0, "minimize") == 0.5
    assert skill(2.0, 2.0, "minimize") == 0
    assert skill(3.0, 2.0, "minimize") == -0.5
    assert skill(0.95, 0.9, "maximize") == pytest.approx(0.5)
    assert skill(0.8, 0.9, "maximize") == pytest.approx(-1)
    assert skill(1.0, 1.0, "maximize") != skill(1.0, 1.0, "maximize")  # nothing is left to gain
