"""Claims about tables as vendors deliver them: each is read as what it says, with a note, or refused with the key."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from study.data.tables.table import OrderedTable, TableKeys, read_table
from study.errors import ConfigError
from tests.delivered import VENDORS, days, german, lines, price
from tests.test_tasks_forecasting import own


def read(folder: Path, content: str | bytes, **keys: Any) -> OrderedTable:
    file = folder / "own.csv"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(file, TableKeys(**keys))


@pytest.mark.parametrize("name", VENDORS)
def test_the_file_of_a_vendor_is_read_by_naming_it_and_every_decision_is_said(name: str, tmp_path: Path) -> None:
    made = VENDORS[name]
    found = read(tmp_path, made.content, **made.keys)
    assert found.targets == (made.column,)
    assert found.frame[made.column].iloc[0] == pytest.approx(made.first)
    assert found.frame.index.is_monotonic_increasing
    assert found.frame.index.is_unique
    for words in made.notes:
        assert words in " ".join(found.notes)


def test_a_plain_table_needs_no_decision(tmp_path: Path) -> None:
    assert read(tmp_path, lines("date,y", lambda i, d: f"{d},{price(i)}"), targets=["y"]).notes == ()


FORMS = {
    "day first": ("{0:%d/%m/%Y}", "%d/%m/%Y"),
    "month first": ("{0:%m/%d/%Y}", "%m/%d/%Y"),
    "points": ("{0:%d.%m.%Y}", "%d.%m.%Y"),
    "short year": ("{0:%d/%m/%y}", "%d/%m/%y"),
    "month in words": ("{0:%d-%b-%Y}", "%d-%b-%Y"),
    "with a time": ("{0:%d/%m/%Y} 16:30", "%d/%m/%Y %H:%M"),
    "with a UTC offset": ("{0:%d/%m/%Y} 16:30+0100", "%d/%m/%Y %H:%M%z"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("backwards", [False, True])
def test_the_order_of_day_and_month_is_what_the_rows_prove(form: str, backwards: bool, tmp_path: Path) -> None:
    written, said = FORMS[form]
    found = read(tmp_path, lines("date,y", lambda i, d: f"{written.format(d)},{i}", backwards))
    assert [moment.date() for moment in found.frame.index] == days()
    assert found.frame["y"].tolist() == [*range(len(days()))]
    assert f"dates are read as {said}" in " ".join(found.notes)


def test_days_below_13_are_read_in_the_only_order_in_which_rows_are_in_order(tmp_path: Path) -> None:
    rows = ["01/02/2020", "02/02/2020", "03/02/2020", "04/02/2020", "01/03/2020", "02/03/2020"]
    found = read(tmp_path, "date,y\n" + "\n".join(f"{row},{i}" for i, row in enumerate(rows)))
    assert found.frame.index[-1] == pd.Timestamp("2020-03-02")
    assert "%d/%m/%Y: only so are the rows in order" in found.notes[0]


AMBIGUOUS = "date,y\n" + "\n".join(f"01/{month:02}/20{year},5" for year in (20, 21) for month in range(1, 13))


def test_dates_that_may_be_read_in_two_orders_are_refused_with_the_keys_to_choose_by(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"line 2: '01/01/2020' may be .* choose: task.date_format=%d/%m/%Y or task"
    ) as why:
        read(tmp_path, AMBIGUOUS)
    assert "%m/%d/%Y" in str(why.value)
    for form, second in (("%d/%m/%Y", "2020-02-01"), ("%m/%d/%Y", "2020-01-02")):
        assert read(tmp_path, AMBIGUOUS, date_format=form).frame.index[1] == pd.Timestamp(second)


NUMBERS = {
    "1.234,56": ({}, 1234.56), "1,234.56": ({}, 1234.56), "1\u202f234,56": ({}, 1234.56), "1'234.56": ({}, 1234.56),
    "1.234.567": ({}, 1234567.0), "1,234,567": ({}, 1234567.0), "12,34,567.5": ({}, 1234567.5), "0,123": ({}, 0.123),
    "1.234": ({"decimal": "."}, 1.234), "1,234": ({"decimal": "."}, 1234.0), "1.234 ": ({"decimal": ","}, 1234.0),
    "$1,234.50": ({}, 1234.5), "-$2.50": ({}, -2.5), "\N{MINUS SIGN}2.5": ({}, -2.5), "(2.5)": ({}, -2.5),
    "+3": ({}, 3.0),
    "12.3M": ({}, 12.3e6), "1.5K": ({}, 1500.0), "2.1B": ({}, 2.1e9), "1.23%": ({}, 1.23), "3.5 kWh": ({}, 3.5),
    "1e-3": ({}, 0.001), ".5": ({}, 0.5),
}  # fmt: skip


@pytest.mark.parametrize("cell", NUMBERS)
def test_numbers_are_read_as_they_are_written(cell: str, tmp_path: Path) -> None:
    keys, expected = NUMBERS[cell]
    found = read(
        tmp_path,
        f"date;y;\u2002\n{''.join(f'2020-01-0{day};{cell};x{chr(10)}' for day in range(1, 6))}",
        **keys,
        targets=["y"],
    )
    assert found.frame["y"].tolist() == pytest.approx([expected] * 5)


@pytest.mark.parametrize(
    ("content", "keys", "complaint"),
    [
        ("date;y\n" + "2020-01-0{};1,234\n", {}, r"line 2: '1,234' may have thousands, .* task.decimal=\. or task.dec"),
        (
            "date;y\n" + "2020-01-0{};1.234\n",
            {},
            r"line 2: '1.234' may have three decimals, or thous.* task.decimal=\.",
        ),
        ("date,y\n" + "2020-01-0{},1.234\n" + "2020-01-07,999\n", {}, "'1.234' may have three decimals, or thousands"),
        ("1{}.5\n", {"date": None}, "task.targets must name .* its first line looks like data"),
        (
            "Date,Open,High,Low,close,Close\n" + "2020-01-0{},1,1,1,1,9\n",
            {},
            "must name one of the columns close, Close",
        ),
        (
            "date;y;z\n" + "2020-01-0{};1,5;1,234.5\n",
            {},
            r"a point in column 'z', line 2: .* and a comma in column 'y'",
        ),
        ("date;y\n" + "2020-01-0{};1,5\n", {"decimal": ".", "targets": ["y"]}, "line 2: '1,5', .*is not a number"),
        (
            "date,y\n" + "2020-01-0{},3 apples\n" + "2020-01-07,4 pears\n",
            {"targets": ["y"]},
            "3 apples'.* is not a num",
        ),
        ("date,y\n" + "2020-01-0{},N/A\n", {}, r"no column holds numbers"),
        (
            "date,y\n" + "2020-01-0{},.\n",
            {"targets": ["y"]},
            r"line 2: '\.', .* is missing; task.missing=forward .*drop",
        ),
        ("a,b,y\n" + "{},1,3\n", {}, "no column 'date'.*there: a, b, y; task.date=null"),
        ("2020-01-0{},7\n", {}, "a header line must name the columns"),
        ("date,y,z\n" + "2020-01-0{},3,4\n", {}, r"task.targets must name .*\(columns of numbers: y, z"),
        ("date,y\n" + "2020-01-0{},3\n", {"date_format": "%Q"}, "task.date_format = '%Q'"),
        (
            "date,y\n" + "2020-01-0{},3\n",
            {"date_format": "%d/%m/%Y"},
            "line 2: '2020-01-01', .*is not a date as %d/%m/%Y",
        ),
        ("date,y\n" + "3{}/12/2013,3\n", {}, "is not a date as"),
        ("t,y\n" + "{},3\n", {"date": "t", "frequency": "D"}, "task.frequency = 'D': column 't' has numbers"),
        ("y\n" + "{}\n", {"date": None, "frequency": "D"}, "task.frequency = 'D': with task.date = null"),
        ("Date,Time,y\n" + "2020-01-01,0{}:00,3\n", {}, r"does not come after .* task.date=\[Date,Time\]"),
    ],
)
def test_what_may_be_read_in_several_ways_or_in_none_is_refused_with_the_key(
    content: str, keys: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    head, sep, row = content.partition("\n") if "{}" not in content.partition("\n")[0] else ("", "", content)
    rows, _, last = row.partition("\n")
    with pytest.raises(ConfigError, match=complaint):
        read(tmp_path, head + sep + "".join(rows.format(day) + "\n" for day in range(1, 6)) + last, **keys)


def test_three_decimals_between_commas_are_decimals(tmp_path: Path) -> None:
    assert read(tmp_path, lines("date,y", lambda i, d: f"{d},1.{234 + i}")).frame["y"].iloc[1] == 1.235


def test_lines_that_lack_cells_are_said_for_it_may_not_be_the_last_ones(tmp_path: Path) -> None:
    found = read(tmp_path, lines("date,y,z", lambda i, d: f"{d},{i}" + ",x" * (i != 3)), targets=["y"])
    assert "1 lines have fewer cells than the header, the first is line 5" in found.notes[-1]


@pytest.mark.parametrize("backwards", [False, True])
def test_the_value_before_is_that_of_the_day_before_in_whatever_order_rows_come(
    backwards: bool, tmp_path: Path
) -> None:
    content = lines("date,y", lambda i, d: f"{d},{'N/A' if i == 5 else i}", backwards)
    assert read(tmp_path, content, missing="forward").frame["y"].iloc[5] == 4
    left = read(tmp_path, content, missing="drop")
    assert left.frame["y"].tolist() == [i for i in range(40) if i != 5]
    assert "1 of 40 rows miss a value and are left out" in left.notes[-1]


def test_lines_of_a_table_turned_round_are_those_of_the_file(tmp_path: Path) -> None:
    content = lines("date,y", lambda i, d: f"{d},{'x' if i == 1 else i}", backwards=True)
    with pytest.raises(ConfigError, match="line 40: 'x': is not a number"):
        read(tmp_path, content, targets=["y"])


def test_a_table_is_the_same_with_another_separator_and_other_signs(tmp_path: Path) -> None:
    plain = read(tmp_path, lines("date,y", lambda i, d: f"{d},{price(i)}"))
    for other in (
        lines("date;y", lambda i, d: f"{d:%d.%m.%Y};{german(price(i))}", backwards=True),
        lines("date\ty", lambda i, d: f"{d:%m/%d/%Y}\t${price(i):,.2f}"),
        lines('"date","y"', lambda i, d: f'"{d}","{price(i):,.2f}"').replace("\n", "\r\n"),
    ):
        assert read(tmp_path, other).frame.equals(plain.frame)


@pytest.mark.parametrize("value", ["1e300", "-1e300", "1e60"])
@pytest.mark.parametrize("row", [3, 90])
def test_a_value_beyond_float32_is_refused_wherever_it_stands(value: str, row: int, tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=100)
    (tmp_path / "own.csv").write_text(
        "date,y\n" + "".join(f"{day:%Y-%m-%d},{value if i == row else i % 7}\n" for i, day in enumerate(days))
    )
    with pytest.raises(ConfigError, match=r"column 'y.*'(.* is beyond 1e\+150| holds .*e\+)"):
        own(tmp_path / "own.csv")


def test_values_too_alike_for_float32_are_refused(tmp_path: Path) -> None:
    days = pd.date_range("2020-01-01", periods=100)
    (tmp_path / "own.csv").write_text(
        "date,y\n" + "".join(f"{day:%Y-%m-%d},{i % 7}e-300\n" for i, day in enumerate(days))
    )
    with pytest.raises(ConfigError, match="less than float32 can tell"):
        own(tmp_path / "own.csv")
