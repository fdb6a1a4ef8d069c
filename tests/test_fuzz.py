"""Claims about whatever may be typed: it ends in a value or in one sentence, soon, and leaves nothing behind."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from study.bench.reliability.mutations import CELLS, spoilt
from study.bench.reliability.words import KINDS, Kind
from study.data.tables.table import TableKeys, read_table
from study.errors import ConfigError
from study.schema.defaults import option
from tests.delivered import VENDORS


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
ALL = KINDS | {"vendor": Kind("damaged tables of vendors", DAMAGED, _vendor, 500)}


@pytest.mark.parametrize("name", ALL)
def test_whatever_is_typed_ends_in_a_value_or_a_sentence_and_leaves_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = ALL[name]
    monkeypatch.chdir(tmp_path)
    same_every_time = settings(
        max_examples=kind.cases,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[*HealthCheck],
    )

    @same_every_time
    @given(kind.drawn)
    def tried(typed: object) -> None:
        assert not (wrong := kind.loses(typed)), f"{typed!r}: {wrong}"

    tried()


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
