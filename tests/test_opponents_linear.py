"""Opponents that forecast by a regression or a mean, against closed forms and libraries."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression

from study import opponents, tasks
from study.opponents import autoregression, har, least_squares, nlinear
from study.opponents.least_squares import Design, LinearForecast
from study.tasks.forecasting.family import Forecasting
from tests.composed import configured


@cache
def forecasting(name: str, *overrides: str) -> Forecasting:
    config = configured(name, *overrides)
    task = tasks.build(config.task, config.data, 0)
    assert isinstance(task, Forecasting)
    return task


def test_least_squares_on_leading_columns_is_that_of_numpy() -> None:
    draws = np.random.default_rng(0)
    x, y = draws.normal(size=(200, 6)) @ draws.normal(size=(6, 6)), draws.normal(size=(200, 2))
    for size, solution in zip((0, 1, 4, 6), least_squares.nested(x, y, (0, 1, 4, 6)), strict=True):
        expected = np.linalg.lstsq(np.column_stack([np.ones(200), x[:, :size]]), y)[0]
        np.testing.assert_allclose(solution, expected, rtol=1e-9)


def test_dependent_columns_get_the_solution_of_least_norm() -> None:
    x = np.random.default_rng(0).normal(size=(50, 1)) @ np.ones((1, 3))
    solution = least_squares.nested(x, x[:, :1], (3,))[0][1:, 0]
    np.testing.assert_allclose(solution, 1 / 3, rtol=1e-9)


def every_level(task: Forecasting, design: Design, monkeypatch: pytest.MonkeyPatch) -> LinearForecast:
    """The forecast that uses all levels, whatever the validation part says."""
    monkeypatch.setattr(least_squares, "choose", lambda candidates, task: list(candidates)[-1])
    return least_squares.fit_levels(design, task)


def predictions(task: Forecasting, forecast: LinearForecast) -> pd.Series:
    """Of IBM's test part, in the target's own unit."""
    batch = task.whole("test")
    column = list(task._tables.series).index("IBM")
    frame = task._tables.series["IBM"]["test"]
    values = forecast.predict(batch, batch.inputs[:0])[: len(frame), column, 0].numpy()
    return pd.Series(values * task._std["target"] + task._mean["target"], frame.index)


def regressed(task: Forecasting, columns: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.Series:
    """Scikit-learn's regression of the target of all tickers on columns made by pandas, of IBM's test part."""
    parts = [splits["train"] for splits in task._tables.series.values()]
    rows = pd.concat([columns(part).assign(target=part["target"]).dropna() for part in parts])
    fitted = LinearRegression().fit(rows.drop(columns="target").to_numpy(), rows["target"])
    known = columns(task._tables.series["IBM"]["test"]).dropna()
    return pd.Series(fitted.predict(known.to_numpy()), known.index)


def test_autoregression_is_the_regression_of_scikit_learn_on_the_lags(monkeypatch: pytest.MonkeyPatch) -> None:
    task = forecasting("forecasting_stocks")
    monkeypatch.setattr(autoregression, "LAGS", (1, 3, 7))

    def lags(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([frame[task.features].shift(lag).add_suffix(str(lag)) for lag in range(7)], axis=1)

    expected = regressed(task, lags)
    found = predictions(task, every_level(task, autoregression.Lags(len(task.features)), monkeypatch))
    assert len(expected) == len(found) - 6
    pd.testing.assert_series_equal(found[expected.index], expected, rtol=1e-4, check_dtype=False)


def test_har_is_the_regression_on_log_rms_returns_of_1_5_and_22_days(monkeypatch: pytest.MonkeyPatch) -> None:
    task = forecasting("forecasting_stocks")
    monkeypatch.setattr(har, "DAYS", (1, 5, 22))
    monkeypatch.setattr(har.Averages, "levels", har.Averages.levels[:3])

    def averages(frame: pd.DataFrame) -> pd.DataFrame:
        squares = frame["log_return"] ** 2
        means = {str(days): squares.rolling(days).mean() for days in (1, 5, 22)}
        return pd.DataFrame({name: np.log(np.sqrt(mean).clip(lower=1e-4)) for name, mean in means.items()})

    expected = regressed(task, averages)
    forecast = every_level(task, har.Averages(task), monkeypatch)
    found = predictions(task, forecast)
    pd.testing.assert_series_equal(found[expected.index], expected, rtol=1e-3, check_dtype=False)
    assert forecast.label == "HAR(1, 5, 22)"


def test_nlinear_regresses_the_change_on_how_the_past_differs_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    task = forecasting("forecasting_stocks")
    monkeypatch.setattr(nlinear, "LAGS", (1, 4))
    monkeypatch.setattr(nlinear.NLinearDesign, "levels", (*nlinear.NLinearDesign.levels[:1], least_squares.Level(3, 3)))
    volatility = "log_volatility"

    def changes(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([frame[volatility].shift(lag) - frame[volatility] for lag in (1, 2, 3)], axis=1)

    parts = [splits["train"] for splits in task._tables.series.values()]
    rows = [(changes(part), part["target"] - part[volatility]) for part in parts]
    x, y = pd.concat([x.iloc[3:] for x, _ in rows]), pd.concat([y.iloc[3:] for _, y in rows])
    test = task._tables.series["IBM"]["test"]
    expected = LinearRegression().fit(x.to_numpy(), y).predict(changes(test).iloc[3:].to_numpy()) + test[volatility][3:]
    found = predictions(task, every_level(task, nlinear.NLinearDesign(task), monkeypatch))
    np.testing.assert_allclose(found[3:], expected, rtol=1e-3)


def test_the_first_steps_of_a_split_are_predicted_by_regressions_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    task = forecasting("forecasting_stocks")
    monkeypatch.setattr(autoregression, "LAGS", (1, 3, 7))
    design, batch = autoregression.Lags(len(task.features)), task.whole("test")
    forecast = every_level(task, design, monkeypatch)
    for step, level in ((0, 0), (1, 0), (2, 1), (5, 1), (6, 2), (20, 2)):
        columns = design.columns(batch)[step, :, 0, : design.levels[level].columns]
        b = forecast.coefficients[level][0]
        expected = (columns @ b[1:] + b[0]).float()
        torch.testing.assert_close(forecast.predict(batch, batch.inputs[:0])[step], expected)


def test_lags_that_the_validation_part_does_not_want_are_not_used() -> None:
    """A random walk's change needs no past."""
    assert opponents.fit("autoregression", forecasting("forecasting_stocks", "task.target=log_return")).label == (
        "OLS on the last value"
    )


def test_a_season_repeated_is_exact_where_seasons_are_alike() -> None:
    task = forecasting(
        "forecasting_sine_mix", "task.periods=[10.0]", "task.noise=0", "task.season=10", "task.ahead=[3]"
    )
    batch = task.whole("test")
    found = opponents.fit("seasonal", task).predict(batch, batch.inputs[:0])
    torch.testing.assert_close(found[7:], batch.targets[7:], rtol=0, atol=1e-5)
    torch.testing.assert_close(found[:7], task.baseline(batch)[:7])


def test_the_training_mean_is_the_mean_of_what_is_to_be_predicted() -> None:
    task = forecasting("forecasting_stocks")
    targets = pd.concat([splits["train"]["target"] for splits in task._tables.series.values()])
    frames = [splits["test"]["target"] for splits in task._tables.series.values()]
    errors = pd.concat(frames) - targets.mean()
    assert opponents.measure(opponents.fit("mean", task), task, "test")["rmse"] == pytest.approx(
        math.sqrt((errors**2).mean()), rel=1e-5
    )
