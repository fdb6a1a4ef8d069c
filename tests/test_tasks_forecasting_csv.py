"""Claims about the own table: its names, dates and numbers, and what is refused with its line."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from study.errors import ConfigError
from study.tasks import SPLITS
from study.tasks.forecasting import csv
from tests.test_tasks_forecasting import DATA, counting, own, same, table, tensors

DAYS = "\n".join(f"2020-01-{day:02},{day % 5}" for day in range(1, 31))


@pytest.mark.parametrize(
    ("content", "changes", "complaint"),
    [
        ("date,y\n", {}, "0 rows under the header"),
        ("date,z\n" + DAYS, {}, "no column 'y'"),
        ("date,price\n" + DAYS, {"targets": ["prise"]}, "did you mean 'price'"),
        ("date,y\n" + DAYS.replace("2020-01-03,3", "2020-01-03,three"), {}, "'y', line 4: 'three': is not a number"),
        ("date,y\n" + DAYS.replace("2020-01-03,3", "2020-01-03,inf"), {}, "line 4: 'inf': is not a number"),
        ("date,y\n" + DAYS.replace("2020-01-03,3", "2020-01-03,"), {}, "line 4: '': is missing"),
        ("date,y\n" + DAYS.replace("2020-01-01,1", "2020-01-01,"), {"missing": "forward"}, "line 2: '': is missing"),
        ("date,y\n" + DAYS.replace("2020-01-03", "someday"), {}, "'date', line 4: 'someday': is not a date"),
        ("date,y\n" + DAYS.replace("2020-01-03", "2020-01-01"), {}, "line 4: .*does not come after"),
        ("date,y\n" + DAYS.replace("2020-01-03,3\n", ""), {"frequency": "D"}, "line 4: '2020-01-04': is not 'D' after"),
        ("date,y\n" + DAYS, {"frequency": "fortnightly"}, "task.frequency = 'fortnightly'"),
        ("date,y\n" + DAYS.replace("2020-01-03,3", "2020-01-03,3,3"), {}, "line 4"),
        ("date,y,y\n" + DAYS.replace(",", ",1,"), {}, "the header names 'y' 2 times"),
        ("date,y, y\n" + DAYS.replace(",", ",1,"), {}, "the header names 'y' 2 times"),
        ("date,y\n" + DAYS.replace("\n", ",7\n"), {}, "more cells than the header has names"),
        ("date,y\n" + DAYS.replace("2020-01-03", "2020-01-03 09:00+01:00"), {}, "line 4: .*has a UTC offset, the fi"),
        (
            "date,y\n" + DAYS.replace(",", " 09:00+01:00,").replace("2020-01-03 09:00+01:00", "2020-01-03 09:00"),
            {},
            "line 4: .*has no UTC offset, the first row has one",
        ),
        (
            "date,y\n" + DAYS.replace("2020-01-03", "2020-01-03 09:00+01"),
            {},
            "line 4: .*has a UTC offset, the first row",
        ),
        ("date,y\n" + DAYS.replace("2020-01-30", "now"), {}, "line 31: 'now': is not a date"),
        ("date,y\n" + DAYS.replace("2020-01-01", "-1"), {}, "line 2: '-1': is not a date"),
        (
            "date,y\n" + DAYS.replace("2020-01-03", "03/01/2020"),
            {},
            "line 4: '03/01/2020': .* no other order is guessed",
        ),
        ("date,Unnamed: 2,\n" + DAYS.replace(",", ",1,"), {"targets": ["Unnamed: 2"]}, "names 'Unnamed: 2' 2 times"),
        ("date,y\n" + DAYS, {"seq_len": 19}, "task.seq_len = 19: own.csv has 17 steps in the train part"),
        ("date,y\n" + DAYS, {"ahead": [6]}, "0 steps in the val part"),
        ("date,y\n2020-01-01,1\n", {}, "1 rows under the header"),
        (
            "date,y\n" + "\n".join(f"2020-01-{day:02},1" for day in range(1, 31)),
            {},
            "task.season = 1: y \\+1 has no two",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_its_line(
    content: str, changes: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    file = tmp_path / "own.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=complaint):
        own(file, **changes)


def test_a_missing_value_may_be_filled_with_the_one_before(tmp_path: Path) -> None:
    frame = counting(100)
    filled = frame.copy()
    frame.loc[frame.index[10:12], "y"] = np.nan
    filled.loc[frame.index[10:12], "y"] = filled["y"].iloc[9]
    left = table(tmp_path / "one.csv", frame, missing="forward")
    right = table(tmp_path / "two.csv", filled)
    assert all(same(left, right, split) for split in SPLITS)


@pytest.mark.parametrize("frequency", ["D", "B", "h", "15min"])
def test_rows_at_the_stated_distance_are_accepted(frequency: str, tmp_path: Path) -> None:
    frame = counting(100).set_index(pd.date_range("2024-01-01", periods=100, freq=frequency))
    assert table(tmp_path / "own.csv", frame, frequency=frequency).targets == 1


def test_an_hour_that_only_the_clock_on_the_wall_shows_is_refused(tmp_path: Path) -> None:
    hours = pd.date_range("2022-11-06", periods=30, freq="h", tz="America/New_York")
    rows = [f"{hour},{i * i % 7}" for i, hour in enumerate(hours)]
    (tmp_path / "own.csv").write_text("\n".join(["date,y", *rows]), encoding="utf-8")
    assert own(tmp_path / "own.csv", frequency="h").targets == 1
    (tmp_path / "own.csv").write_text("\n".join(["date,y", *rows[:1], *rows[2:]]), encoding="utf-8")
    with pytest.raises(ConfigError, match="line 3: '2022-11-06 01:00:00-05:00': is not 'h' after the row before it"):
        own(tmp_path / "own.csv", frequency="h")


def test_a_constant_feature_is_no_error(tmp_path: Path) -> None:
    task = table(tmp_path / "own.csv", counting(100, flat=3.0), features=["flat"])
    assert all(part.isfinite().all() for split in SPLITS for part in tensors(task, split))


def test_a_column_called_like_a_renamed_one_is_itself(tmp_path: Path) -> None:
    """Pandas would call the second of two columns `y` the same."""
    frame = counting(100).assign(**{"y.1": 2.0 * counting(100)["y"]})
    task = table(tmp_path / "own.csv", frame, features=["y.1"])
    assert task.inputs.size == 2


def test_names_of_columns_are_read_without_the_white_space_around_them(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("date , y\n" + DAYS, encoding="utf-8")
    assert own(tmp_path / "own.csv", seq_len=5).targets == 1


def test_a_column_without_a_name_is_no_error_as_exports_write_an_index(tmp_path: Path) -> None:
    rows = "\n".join(f"{i},{row}" for i, row in enumerate(DAYS.splitlines()))
    (tmp_path / "own.csv").write_text(",date,y\n" + rows, encoding="utf-8")
    assert own(tmp_path / "own.csv", seq_len=5).targets == 1


@pytest.mark.parametrize("frequency", [None, "D"])
def test_utc_offsets_that_summer_changes_are_read(frequency: str | None, tmp_path: Path) -> None:
    days = pd.date_range("2022-02-20", periods=60, freq="D", tz="America/New_York")
    frame = counting(60).set_index(days)
    left = table(tmp_path / "one.csv", frame, seq_len=5, frequency=frequency)
    right = table(tmp_path / "two.csv", frame.set_index(days.tz_localize(None)), seq_len=5, frequency=frequency)
    assert all(same(left, right, split) for split in SPLITS)
    hours = pd.date_range("2022-03-13", periods=60, freq="h", tz="America/New_York")
    assert table(tmp_path / "three.csv", frame.set_index(hours), seq_len=5, frequency="h").targets == 1


OFFSETS = {
    "PostgreSQL": (" 00:00:00-05", " 00:00:00-04"),
    "hour": ("T00-05", "T00-04"),
    "no colon": ("T000000-0500", "T000000-0400"),
    "Z": ("T05:00Z", "T00:00-04:00"),
    "space": (" 00:00 -0500", " 00:00 -0400 "),
}


@pytest.mark.parametrize("form", OFFSETS)
def test_utc_offsets_are_read_however_they_are_written(form: str, tmp_path: Path) -> None:
    days = [
        f"{day:%Y%m%d}" if form == "no colon" else f"{day:%Y-%m-%d}" for day in pd.date_range("2022-03-01", periods=30)
    ]
    rows = [f"{day}{OFFSETS[form][i > 12]},{i * 7 % 5}" for i, day in enumerate(days)]
    (tmp_path / "own.csv").write_text("\n".join(["date,y", *rows]), encoding="utf-8")
    index = csv.load_csv(own(tmp_path / "own.csv", seq_len=3)._config, DATA).series["own.csv"]["train"].index  # type: ignore[attr-defined]
    assert index[:2].tolist() == [pd.Timestamp("2022-03-01 05:00Z"), pd.Timestamp("2022-03-02 05:00Z")]
    assert index[13:15].tolist() == [pd.Timestamp("2022-03-14 04:00Z"), pd.Timestamp("2022-03-15 04:00Z")]


def test_no_mess_of_dates_ends_in_a_traceback(tmp_path: Path) -> None:
    """Cells put together from pieces of dates, at random: each table is read, or refused with a line."""
    draws = np.random.default_rng(0)
    pieces = [
        "2022",
        "-03",
        "-10",
        "/",
        "T",
        " ",
        "00:00",
        ":00",
        ".5",
        "Z",
        "+01",
        "-05:00",
        "UTC",
        "now",
        "NaT",
        "9999",
        "1e9",
    ]
    for _ in range(300):
        odd = "".join(draws.choice(pieces, size=draws.integers(1, 8)))
        plain = [f"2022-03-{day:02}{draws.choice(['', ' 00:00', ' 00:00+01', 'T00:00Z'])}" for day in range(1, 21)]
        plain[draws.integers(20)] = odd
        (tmp_path / "own.csv").write_text("date,y\n" + "".join(f"{date},{i % 3}\n" for i, date in enumerate(plain)))
        refusal = ""
        try:
            own(tmp_path / "own.csv", seq_len=3)
        except ConfigError as error:
            refusal = str(error)
        assert not refusal or "own.csv" in refusal


def test_white_space_around_a_name_that_is_asked_for_does_not_matter_either(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("date, y\n" + DAYS, encoding="utf-8")
    assert own(tmp_path / "own.csv", seq_len=5, targets=[" y"]).targets == 1
    with pytest.raises(ValueError, match="name y more than once"):
        own(tmp_path / "own.csv", targets=["y", " y"])
