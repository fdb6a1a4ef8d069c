"""Claims about whatever may be typed: it ends in a value or in one sentence, soon, and leaves nothing behind."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from study.bench.reliability.doors import folder
from study.bench.reliability.mutations import CELLS, spoilt
from study.bench.reliability.sound import TABLES
from study.bench.reliability.words import KINDS, Kind, tried
from study.callback.callback import refuse_no_lag
from study.command.arguments import prepared
from study.data.tables.table import TableKeys, read_table
from study.errors import ConfigError
from study.look.__main__ import look
from study.schema import Config, checked
from study.schema.base import LARGEST
from study.schema.defaults import defaults, option, options
from study.train import train
from tests.delivered import VENDORS
from tests.reruns import SMALL


def _vendor(drawn: tuple[str, str]) -> None:
    """A damaged file of a vendor: what is read of it has no holes."""
    name, content = drawn
    path = Path("own.csv")
    path.write_text(content, "utf-8", newline="")
    try:
        found = read_table(path, TableKeys(**VENDORS[name].keys))  # type: ignore[arg-type]
        assert np.isfinite(found.frame).all(axis=None)
    finally:
        path.unlink()


def _damaged(name: str) -> st.SearchStrategy[tuple[str, str]]:
    return spoilt([VENDORS[name].content], CELLS).map(lambda content: (name, content))


DAMAGED = st.one_of([*map(_damaged, VENDORS)])
ALL = KINDS | {"vendor": Kind("damaged tables of vendors", DAMAGED, _vendor, 250)}


@pytest.mark.parametrize("name", ALL)
def test_whatever_is_typed_ends_in_a_value_or_a_sentence_and_leaves_nothing(
    name: str, tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if name == "stored":
        shutil.copy(tables / "mlflow.db", folder())  # tables take seconds to make
    count, lost = tried(ALL[name], ALL[name].cases)
    assert not lost
    assert count >= ALL[name].cases


def test_a_key_with_a_dot_in_a_mapping_is_named() -> None:
    with pytest.raises(ConfigError, match=r"trainer\.a\.b: no such key"):
        KINDS["composed"].door(["+trainer={a.b:1}"])


def test_ten_thousand_words_are_tried() -> None:
    assert sum(kind.cases for kind in ALL.values()) >= 10_000


@pytest.mark.parametrize(
    ("typed", "limit"),
    [
        ("task.targets=[" + "a," * 5_000_000 + "a]", "at most 10,000 characters"),
        ("optimizer.lr=range(0,1e12,1e-3)", "at most 10,000 are compared"),
        ("seed=range(1000000000000)", "at most 10,000 are compared"),
        ("seed=range(0,inf)", "finite ends"),
    ],
    ids=["ten million letters", "a fine range", "a long range", "an endless range"],
)
def test_what_has_no_end_is_refused_before_it_is_read_or_made(typed: str, limit: str) -> None:
    started = time.process_time()
    with pytest.raises(ConfigError, match=limit) as refused:
        KINDS["value"].door(typed)
    assert len(str(refused.value)) < 500
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("section", "limit"),
    [
        (
            {"arms": [{"model.hidden_size": [*range(1, 1001)], "trainer.max_updates": [*range(1, 1001)]}]},
            "sweep.arms: 1,000,000 combinations of values; at most 10,000 arms",
        ),
        ({"search": {"optimizer.lr": "interval(0.1,1)"}, "trials": 10**9}, "1,000,000,001 runs: at most 100,000"),
    ],
    ids=["arms", "trials"],
)
def test_sweeps_too_large_to_be_planned_are_refused_with_their_size(section: dict[str, object], limit: str) -> None:
    whole = option("sweep", "grid") | {"storage": "sqlite:///optuna.db"}
    started = time.process_time()
    with pytest.raises(ConfigError, match=limit):
        KINDS["planned"].door((whole | section, []))
    assert time.process_time() - started < 20  # a thousand values are read one by one


NUMBERS = [
    (group, name, key)
    for group in ("optimizer", "clip", "loss", "model", "regularizer", "schedule", "bptt", "task")
    for name in options(group)
    for key, usual in option(group, name).items()
    if isinstance(usual, float) and name != "own"
]


@pytest.mark.parametrize("size", ["1e300", "-1e300"])
def test_a_number_that_float32_cannot_hold_is_refused_for_every_key(size: str) -> None:
    assert len(NUMBERS) > 30
    for group, name, key in NUMBERS:
        with pytest.raises(ConfigError, match=rf"{key} = -?1e\+300: should be"):
            checked(defaults({group: name}) | {group: dict(option(group, name)) | {key: float(size)}}, Config)


@pytest.mark.parametrize("name", options("optimizer"))
def test_the_largest_rate_that_is_accepted_trains_into_a_divergence(name: str, configure: Callable[..., Any]) -> None:
    rate = f"optimizer.lr={LARGEST}"
    config = configure(*SMALL, "probe=none", "task=labelling_parity", f"optimizer={name}", rate, "clip=none")
    assert train(config).diagnosis.outcome == "diverged"


def test_a_table_of_numbers_without_squares_is_refused_when_it_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text(TABLES[0].replace("1180.0", "1e300"))
    assert "is beyond 1e+150" in look(tmp_path / "own.csv").refused


@pytest.mark.parametrize("horizon", [0, -1, True, "20", 1.5, float("nan"), [1]])
def test_a_horizon_that_is_no_number_of_steps_is_refused(horizon: object) -> None:
    with pytest.raises(ConfigError, match=r"horizon = .*a lag in steps is 1 or more"):
        refuse_no_lag(horizon)


def test_the_flag_of_a_sweep_may_stand_amid_overrides() -> None:
    assert prepared(["seed=0,1", "-m", "slug=x"]) == ["-m", "seed=0,1", "slug=x"]
