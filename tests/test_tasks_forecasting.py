"""Claims about forecasting tasks: no leakage, targets where they should be, true baselines, bad tables."""

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from study import tasks
from study.errors import ConfigError
from study.schema.run import DataConfig
from study.schema.task.forecasting import (
    ForecastingCSVConfig,
    ForecastingETTh1Config,
    ForecastingStocksConfig,
)
from study.tasks import SPLITS, Split, Task
from study.tasks.forecasting import csv, etth1, stocks
from tests import samples

DATA = DataConfig(carriers=None, cache=None)
COMMON: dict[str, Any] = {"seq_len": 10, "batch_size": 8, "horizon": 5, "season": 1, "validation": 0.2, "test": 0.2}


def stock(**changes: Any) -> Task:
    values: dict[str, Any] = {"tickers": ["AAPL", "IBM"], "multivariate": False, "target": "log_volatility", "ahead": 5}
    return tasks.build(ForecastingStocksConfig(**(COMMON | values | changes), name="forecasting_stocks"), DATA, 0)


def table(file: Path, frame: pd.DataFrame, **changes: Any) -> Task:
    """The task of a table written to a file."""
    frame.to_csv(file, index_label="date")
    return own(file, **changes)


def own(file: Path, **changes: Any) -> Task:
    values: dict[str, Any] = {"path": str(file), "date": "date", "targets": ["y"], "features": [], "ahead": [1]}
    values |= {"frequency": None, "missing": "refuse"}
    return tasks.build(ForecastingCSVConfig(**(COMMON | values | changes), name="forecasting_csv"), DATA, 0)


def counting(rows: int, **columns: Any) -> pd.DataFrame:
    """Daily rows whose y is a random walk."""
    steps = torch.randn(rows, generator=torch.Generator().manual_seed(0)).double()
    dates = pd.date_range("2020-01-01", periods=rows, freq="D")
    return pd.DataFrame({"y": steps.cumsum(0).numpy()} | columns, index=dates)


def tensors(task: Task, split: Split) -> list[torch.Tensor]:
    return list(task.batches(split).tensors())


def same(left: Task, right: Task, split: Split) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(left, split), tensors(right, split), strict=True))


@pytest.mark.parametrize(("changed_from", "untouched"), [(0.6, ["train"]), (0.8, ["train", "val"])])
def test_no_split_and_no_scale_depends_on_later_rows(
    changed_from: float, untouched: list[Split], tmp_path: Path
) -> None:
    frame = counting(200)
    first = table(tmp_path / "one.csv", frame, ahead=[1, 4])
    frame.iloc[int(200 * changed_from) :] += 1000
    second = table(tmp_path / "two.csv", frame, ahead=[1, 4])
    assert [split for split in SPLITS if same(first, second, split)] == untouched


@pytest.mark.parametrize("target", ["log_return", "log_volatility", "price"])
@pytest.mark.parametrize("multivariate", [True, False])
def test_stock_splits_do_not_depend_on_later_prices(
    target: str, multivariate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stock(target=target, multivariate=multivariate)
    original = stocks._prices

    def disturbed(path: Path) -> pd.DataFrame:
        prices = original(path).copy()
        rng = np.random.default_rng(0)
        late = prices["Date"] >= pd.Timestamp("2008-08-01")  # within validation
        prices.loc[late, "Adj Close"] *= np.exp(rng.normal(size=late.sum()))
        return prices

    monkeypatch.setattr(stocks, "_prices", disturbed)
    after = stock(target=target, multivariate=multivariate)
    assert [split for split in SPLITS if same(before, after, split)] == ["train"]


def test_training_features_and_targets_have_mean_zero_and_unit_deviation_and_others_need_not() -> None:
    task = stock()
    for part in tensors(task, "train")[:2]:
        torch.testing.assert_close(part.mean(0), torch.zeros(part.shape[1]), atol=1e-4, rtol=0)
        torch.testing.assert_close(part.std(0), torch.ones(part.shape[1]), atol=1e-3, rtol=0)
    assert tensors(task, "test")[0].mean(0).abs().max() > 0.05


def test_a_target_is_the_change_until_so_many_rows_later(tmp_path: Path) -> None:
    frame = counting(200)
    task = table(tmp_path / "own.csv", frame, ahead=[1, 4])
    values = torch.tensor(frame["y"].to_numpy()[120:156])  # validation without the 4 rows whose targets are test's
    inputs, targets = tensors(task, "val")
    unscaled = inputs[:, 0, 0] * values.std() / inputs[:, 0, 0].std()
    torch.testing.assert_close(unscaled - unscaled.mean(), (values - values.mean()).float(), atol=1e-4, rtol=1e-4)
    for column, ahead in enumerate((1, 4)):
        changes = inputs[ahead:, 0, 0] - inputs[:-ahead, 0, 0]
        correlation = torch.corrcoef(torch.stack([targets[:-ahead, 0, column], changes]))[0, 1]
        assert correlation == pytest.approx(1)


@pytest.mark.parametrize("ahead", [1, 5])
def test_log_returns_and_volatility_are_the_formulas_of_the_prices(ahead: int) -> None:
    prices = stocks._prices(stocks.carried(DATA, stocks.FILE))
    ibm = prices[prices["Ticker"] == "IBM"].sort_values("Date")
    log = [math.log(p) for p in ibm["Adj Close"]]
    days = list(ibm["Date"])
    for target in ("log_return", "log_volatility"):
        values = COMMON | {"tickers": ["IBM"], "multivariate": False, "target": target, "ahead": ahead}
        config = ForecastingStocksConfig(**values, name="forecasting_stocks")
        frame = stocks.load_stocks(config, DATA).series["IBM"]["train"]
        for day in frame.index[[0, 100, -1]]:
            t = days.index(day)
            returns = [log[i] - log[i - 1] for i in range(t + 1, t + ahead + 1)]
            volatility = math.log(max(1e-4, math.sqrt(sum(r * r for r in returns) / ahead)))
            expected = sum(returns) if target == "log_return" else volatility
            assert frame.loc[day, "target"] == pytest.approx(expected, abs=1e-12)
            assert frame.loc[day, "log_return"] == pytest.approx(log[t] - log[t - 1], abs=1e-12)


def test_persistence_repeats_the_last_value_and_its_error_is_that_of_a_walk(tmp_path: Path) -> None:
    frame = counting(300)
    values = frame["y"].to_numpy()[240:]
    baseline = table(tmp_path / "own.csv", frame, ahead=[3]).baseline_metrics("test")
    errors = values[3:] - values[:-3]
    assert baseline["rmse"] == pytest.approx(math.sqrt((errors**2).mean()), rel=1e-4)
    assert baseline["mae"] == pytest.approx(abs(errors).mean(), rel=1e-4)
    assert baseline["skill"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("season", "ahead", "lag"), [(1, 3, 3), (7, 3, 7), (2, 3, 4)])
def test_mase_is_the_error_over_that_of_the_latest_season_known_in_training(
    season: int, ahead: int, lag: int, tmp_path: Path
) -> None:
    frame = counting(300)
    values = frame["y"].to_numpy()
    training = values[: 180 - ahead]
    seasonal = abs(training[lag:] - training[:-lag]).mean()
    baseline = table(tmp_path / "own.csv", frame, ahead=[ahead], season=season).baseline_metrics("test")
    assert baseline["mase"] == pytest.approx(baseline["mae"] / seasonal, rel=1e-4)


def test_the_persistence_of_a_return_is_a_price_that_stays() -> None:
    task = stock(target="log_return", tickers=["IBM"])
    batch = next(task.batches("test").epoch(0))
    errors = stocks.load_stocks(task._config, DATA).series["IBM"]["test"]["target"]  # type: ignore[attr-defined]
    assert task.baseline_metrics("test")["rmse"] == pytest.approx(math.sqrt((errors**2).mean()), rel=1e-4)
    assert task.baseline(batch).unique().numel() == 1


def test_multivariate_stocks_enter_and_are_predicted_together_on_common_days() -> None:
    task = stock(multivariate=True, tickers=["AAPL", "IBM", "MSFT"])
    batch = next(task.batches("val").epoch(0))
    assert (task.inputs.size, task.targets) == (6, 3)
    alone = stock(tickers=["AAPL", "IBM", "MSFT"])
    assert len(batch.inputs) == len(next(alone.batches("val").epoch(0)).inputs)


@pytest.mark.parametrize("ahead", [[1], [1, 24, 168]])
def test_etth1_has_its_published_months_all_channels_and_a_target_a_horizon(
    ahead: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = samples.put(tmp_path / etth1.FILE.name, samples.table(14600))
    monkeypatch.setattr(etth1, "FILE", etth1.FILE._replace(sha256=digest))
    values: dict[str, Any] = {"seq_len": 10, "batch_size": 8, "horizon": 5, "season": 24, "ahead": ahead}
    config = ForecastingETTh1Config(**values, targets=["OT", "HUFL"], name="forecasting_etth1")
    data = DataConfig(carriers=None, cache=str(tmp_path))
    task, frames = tasks.build(config, data, 0), etth1.load_etth1(config, data).series["ETTh1"]
    hours, last = pd.read_csv(tmp_path / etth1.FILE.name, parse_dates=["date"])["date"], max(ahead)
    for split, first, stop in (("train", 0, 8640), ("val", 8640, 11520), ("test", 11520, 14400)):
        assert list(frames[split].index) == list(hours[first : stop - last])  # type: ignore[index]
    assert (task.inputs.size, task.targets) == (7, 2 * len(ahead))


def test_a_sine_mix_without_noise_obeys_its_recurrence() -> None:
    values: dict[str, Any] = {"periods": [7.0], "steps": 300, "noise": 0.0, "ahead": [1]}
    task = tasks.build(tasks.configure("forecasting_sine_mix", **(COMMON | values)), DATA, 0)
    x = tensors(task, "val")[0][:, 0, 0].double()
    mean = float(task._mean["value"] / task._std["value"])  # type: ignore[attr-defined]
    x = x + mean
    torch.testing.assert_close(x[2:], 2 * math.cos(math.tau / 7) * x[1:-1] - x[:-2], atol=1e-4, rtol=0)


def test_the_adding_problem_asks_for_the_sum_of_one_number_of_each_half_at_the_last_step() -> None:
    values = {"seq_len": 11, "sequences": 4000, "held_out": 4000, "batch_size": 4000, "horizon": 5}
    task = tasks.build(tasks.configure("forecasting_adding", **values), DATA, 0)
    batch = next(task.batches("train").epoch(0))
    numbers, marks = batch.inputs.unbind(-1)
    assert (marks[:5].sum(0) == 1).all()
    assert (marks[5:].sum(0) == 1).all()
    assert set(marks.argmax(0).tolist()) == set(range(5))
    torch.testing.assert_close(batch.targets[-1, :, 0], (numbers * marks).sum(0))
    assert batch.mask is not None
    assert batch.mask.sum(0).unique().tolist() == [1]
    assert batch.mask[-1].all()
    assert task.baseline_metrics("test")["rmse"] ** 2 == pytest.approx(1 / 6, rel=0.06)


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


def test_a_ticker_without_a_day_in_training_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="FB has 0 steps in the train part"):
        stock(tickers=["IBM", "FB"])


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


def test_the_error_of_a_price_is_in_dollars_and_persistence_is_a_price_that_stays() -> None:
    """By hand: of every day of the test part, the price five days later and the price of the day."""
    prices = stocks._prices(stocks.carried(DATA, stocks.FILE))
    ibm = prices[prices["Ticker"] == "IBM"].sort_values("Date").set_index("Date")["Adj Close"]
    task = stock(target="price", tickers=["IBM"])
    days = stocks.load_stocks(task._config, DATA).series["IBM"]["test"].index  # type: ignore[attr-defined]
    later = ibm.shift(-5)
    changes = np.array([later[day] - ibm[day] for day in days])
    assert task.baseline_metrics("test")["rmse"] == pytest.approx(math.sqrt((changes**2).mean()), rel=1e-4)
    assert "persistence" in task.opponents


def test_prices_of_several_stocks_at_once_have_errors_in_dollars_too() -> None:
    alone, together = (stock(target="price", multivariate=several) for several in (False, True))
    left, right = (task.baseline_metrics("test")["rmse"] for task in (alone, together))
    assert left == pytest.approx(right, rel=0.02)  # the days that both stocks have


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
        with suppress(ConfigError):
            own(tmp_path / "own.csv", seq_len=3)


def test_white_space_around_a_name_that_is_asked_for_does_not_matter_either(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("date, y\n" + DAYS, encoding="utf-8")
    assert own(tmp_path / "own.csv", seq_len=5, targets=[" y"]).targets == 1
    with pytest.raises(ValueError, match="name y more than once"):
        own(tmp_path / "own.csv", targets=["y", " y"])
