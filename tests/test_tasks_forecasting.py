"""Claims about forecasting tasks: no leakage, targets where they should be, true baselines, bad tables."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from study import tasks
from study.errors import ConfigError
from study.learning.exponents import exponents_by_qr, transposed_product
from study.schema.run import DataConfig
from study.schema.task.forecasting import (
    ForecastingCSVConfig,
    ForecastingETTh1Config,
    ForecastingStocksConfig,
)
from study.tasks import SPLITS, Split, Task
from study.tasks.forecasting import etth1, stocks
from study.tasks.forecasting.lorenz import advance, trajectory
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
    values |= {"frequency": None, "missing": "refuse", "separator": None, "decimal": None, "date_format": None}
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


def test_a_ticker_without_a_day_in_training_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="FB has 0 steps in the train part"):
        stock(tickers=["IBM", "FB"])


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


def lorenz(**changes: Any) -> Task:
    return tasks.build(tasks.configure("forecasting_lorenz", **(COMMON | {"steps": 300} | changes)), DATA, 0)


def test_what_is_predicted_of_lorenz_is_what_enters_next_to_the_last_bit() -> None:
    for split in SPLITS:
        inputs, targets = tensors(lorenz(), split)[:2]
        assert torch.equal(inputs[1:], targets[:-1])


def test_the_trajectory_of_lorenz_contracts_volumes_as_its_equations_say_and_parts_at_about_the_known_rate() -> None:
    """The sum of all exponents is the divergence -(sigma + 1 + beta) everywhere; the largest is .9056 (Sprott 2003)."""
    dt, steps = 0.01, 320
    states = [torch.tensor(trajectory(6000, dt)[::60], dtype=torch.float64)]

    def after(before: torch.Tensor) -> torch.Tensor:
        x, y, z = before.unbind(1)
        return torch.stack(advance((x, y, z), dt), 1)

    def transposed(t: int, directions: torch.Tensor) -> torch.Tensor:
        before = states[t].requires_grad_()
        return transposed_product([after(before)], [before], directions)

    while len(states) < steps:
        states.append(after(states[-1]))

    rates, _ = exponents_by_qr(transposed, steps, 100, 3, 3, states[0], transient=steps)
    assert float(rates.sum(1).mean()) / dt == pytest.approx(-(10 + 1 + 8 / 3), rel=1e-5)
    assert float(rates[:, 0].mean()) / dt == pytest.approx(0.9056, abs=0.3)


def test_the_trajectory_of_lorenz_converges_with_the_fourth_power_of_its_step() -> None:
    def end(dt: float) -> torch.Tensor:
        point = (1.0, 2.0, 20.0)
        for _ in range(round(0.4 / dt)):
            point = advance(point, dt)
        return torch.tensor(point, dtype=torch.float64)

    errors = [float((end(dt) - end(0.0005)).norm()) for dt in (0.02, 0.01, 0.005)]
    assert [math.log2(a / b) for a, b in itertools.pairwise(errors)] == pytest.approx([4, 4], abs=0.3)
