"""Every opponent against a closed form, a library or a slow literal twin."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from sklearn.linear_model import LinearRegression

from study import opponents, tasks
from study.command import CONF
from study.opponents import autoregression, har, kneser_ney, least_squares, nlinear, perceptron, witten_bell
from study.opponents.least_squares import Design, LinearForecast
from study.opponents.ngrams import Grams, Interpolated, NgramLevel, next_order
from study.schema import Config, validate
from study.tasks import Batch
from study.tasks.batches import Sentences, Stream
from study.tasks.forecasting.family import Forecasting
from study.tasks.metrics import LanguageMetrics


def configured(name: str, *overrides: str) -> Config:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return validate(compose("train", [f"task={name}", *overrides]))


@cache
def forecasting(name: str, *overrides: str) -> Forecasting:
    config = configured(name, *overrides)
    task = tasks.build(config.task, config.data, 0)
    assert isinstance(task, Forecasting)
    return task


# Linear forecasts


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


# N-grams

VOCABULARY = 5


def text(length: int = 300) -> list[int]:
    """A text in which the next token depends on two before it, and token 4 never comes."""
    draws, tokens = np.random.default_rng(0), [0, 1]
    for _ in range(length - 2):
        tokens.append(int((tokens[-1] + tokens[-2]) % 4 if draws.random() < 0.7 else draws.integers(4)))
    return tokens


def grams(tokens: Sequence[int], order: int) -> list[Grams]:
    found: list[Grams] = []
    for _ in range(order):
        found.append(next_order(np.array(tokens), VOCABULARY, found[-1] if found else None))
    return found


def occurrences(tokens: Sequence[int], order: int) -> Counter:
    return Counter(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))


def literal_witten_bell(tokens: Sequence[int]) -> Callable[[tuple[int, ...], int], float]:
    def p(context: tuple[int, ...], word: int, order: int) -> float:
        if order == 0:
            return 1 / VOCABULARY
        counts = occurrences(tokens, order)
        following = {w: c for (*h, w), c in counts.items() if tuple(h) == context}
        shorter = p(context[1:], word, order - 1)
        if not following:
            return shorter
        total, kinds = sum(following.values()), len(following)
        return (following.get(word, 0) + kinds * shorter) / (total + kinds)

    return lambda context, word: p(context, word, len(context) + 1)


def literal_kneser_ney(tokens: Sequence[int], highest: int) -> Callable[[tuple[int, ...], int], float]:
    def counts_of(order: int) -> dict[tuple[int, ...], int]:
        if order == highest:
            return occurrences(tokens, order)
        before = defaultdict(set)
        for first, *rest in occurrences(tokens, order + 1):
            before[tuple(rest)].add(first)
        return {gram: len(before[gram]) for gram in occurrences(tokens, order)}

    def discounts(counts: dict[tuple[int, ...], int]) -> list[float]:
        n = [sum(c == k for c in counts.values()) for k in range(5)]
        if not (n[1] and n[2] and n[3]):
            return [0, 0.5, 0.5, 0.5]
        y = n[1] / (n[1] + 2 * n[2])
        raw = [k - (k + 1) * y * n[k + 1] / n[k] if k else 0 for k in range(4)]
        return [min(max(d, 0), k) for k, d in enumerate(raw)]

    def p(context: tuple[int, ...], word: int, order: int) -> float:
        if order == 0:
            return 1 / VOCABULARY
        counts = counts_of(order)
        d = discounts(counts)
        following = {w: c for (*h, w), c in counts.items() if tuple(h) == context}
        shorter = p(context[1:], word, order - 1)
        if not sum(following.values()):
            return shorter
        count, kept = following.get(word, 0), sum(d[min(c, 3)] for c in following.values())
        return (count - d[min(count, 3)] + kept * shorter) / sum(following.values())

    return lambda context, word: p(context, word, len(context) + 1)


TWINS: dict[str, tuple[Callable[[Sequence[Grams]], list[NgramLevel]], Callable]] = {
    "Witten-Bell": (witten_bell.witten_bell, lambda tokens, order: literal_witten_bell(tokens)),
    "Kneser-Ney": (kneser_ney.kneser_ney, literal_kneser_ney),
}
every_smoothing = pytest.mark.parametrize("name", list(TWINS))


@every_smoothing
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_ngrams_are_those_of_a_slow_literal_twin(name: str, order: int) -> None:
    smoothing, twin = TWINS[name]
    tokens, other = text(), [*text(40)[::-1], 4, 4, 0, 1]
    model = Interpolated(smoothing(grams(tokens, order)), VOCABULARY, name)
    batch = next(Stream(torch.tensor([*other, 0]), len(other), 1).epoch(0))
    found, p = model.predict(batch, batch.inputs[:0])[:, 0], twin(tokens, order)
    for step in range(len(other)):
        context = tuple(other[max(0, step + 2 - order) : step + 1]) if order > 1 else ()
        if len(context) < order - 1 and name == "Kneser-Ney":
            continue  # its shorter contexts are those of the lower orders of the whole model
        expected = [p(context, word) for word in range(VOCABULARY)]
        np.testing.assert_allclose(found[step], expected, rtol=1e-5)


@every_smoothing
def test_probabilities_of_the_whole_vocabulary_sum_to_one_and_none_is_zero(name: str) -> None:
    model = Interpolated(TWINS[name][0](grams(text(), 3)), VOCABULARY, name)
    batch = next(Stream(torch.randint(VOCABULARY, (801,)), 100, 8).epoch(0))
    found = model.predict(batch, batch.inputs[:0])
    torch.testing.assert_close(found.sum(-1), torch.ones(100, 8))
    assert (found > 0).all()


@every_smoothing
def test_the_probability_of_the_token_that_came_is_that_of_the_dense_predictions(name: str) -> None:
    model = Interpolated(TWINS[name][0](grams(text(), 4)), VOCABULARY, name)
    batches = list(Stream(torch.randint(VOCABULARY, (801,)), 30, 8).epoch(0))
    before, dense, fast = batches[0].inputs[-2:], LanguageMetrics(True), LanguageMetrics(True)
    chosen = model.chosen(batches[1], before)
    predicted = model.predict(batches[1], before)
    torch.testing.assert_close(chosen, predicted.gather(-1, batches[1].targets[..., None])[..., 0])
    dense.update(predicted, batches[1])
    model.count(fast, batches[1], before)
    assert fast.compute() == pytest.approx(dense.compute(), rel=1e-6)


def test_the_larger_order_is_chosen_while_the_validation_part_gains(tmp_path: Path) -> None:
    (tmp_path / "own.txt").write_text("".join("abcd"[token] for token in text(40_000)))
    config = configured("language_text", f"task.path={tmp_path}/own.txt", "task.batch_size=4")
    task = tasks.build(config.task, config.data, 0)
    for name in ("witten_bell", "kneser_ney"):
        fitted = opponents.fit(name, task)
        assert fitted.label.endswith("3-gram")  # two tokens decide
        nats = opponents.measure(fitted, task, "test")["nats"]
        entropy = -(0.775 * math.log(0.775) + 3 * 0.075 * math.log(0.075))
        assert nats == pytest.approx(entropy, rel=0.05)


# The averaged perceptron


def sentences() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, labels and lengths; a label depends on the word and on the label before it."""
    draws = np.random.default_rng(1)
    lengths = draws.integers(1, 9, 40)
    words = draws.integers(0, 12, lengths.sum())
    labels, before = [], 0
    for word in words:
        before = int((word % 3 + before) % 3 if draws.random() < 0.9 else draws.integers(3))
        labels.append(before)
    return torch.tensor(words), torch.tensor(labels), torch.tensor(lengths)


class Twin:
    """The averaged perceptron from its definition: a dictionary of weights, summed up after every step."""

    def __init__(self, known: set):
        self.known, self.steps = known, 0
        self.weights: dict = defaultdict(float)
        self.total: dict = defaultdict(float)

    def score(self, weights: dict, features: list, label: int) -> float:
        return sum(weights[feature, label] for feature in features if feature in self.known)

    def learn(self, features: list, target: int, classes: int) -> int:
        guess = max(range(classes), key=lambda label: self.score(self.weights, features, label))
        if guess != target:
            for feature in self.known.intersection(features):
                self.weights[feature, target] += 1
                self.weights[feature, guess] -= 1
        for key, weight in self.weights.items():
            self.total[key] += weight
        self.steps += 1
        return guess


def described(words: list, i: int, labels: list, ahead: bool) -> list:
    """The features of step i by name; `labels` are those before it."""
    at = dict(enumerate(words))
    last = [*[None] * 3, *labels]
    found = [
        ("w", at[i]), ("w-1", at.get(i - 1)), ("w-2", at.get(i - 2)), ("w-1 w", at.get(i - 1), at[i]),
        ("w-2 w-1", at.get(i - 2), at.get(i - 1)), ("y-1", last[-1]), ("y-2 y-1", last[-2], last[-1]),
        ("y-3 y-2 y-1", *last[-3:]), ("y-1 w", last[-1], at[i]),
    ]  # fmt: skip
    later = [
        ("w+1", at.get(i + 1)), ("w+2", at.get(i + 2)), ("w w+1", at[i], at.get(i + 1)),
        ("w+1 w+2", at.get(i + 1), at.get(i + 2)),
    ]  # fmt: skip
    return [*found, *later] if ahead else found


@pytest.mark.parametrize("ahead", [False, True])
def test_the_perceptron_is_that_of_a_slow_literal_twin(ahead: bool) -> None:
    tokens, labels, lengths = sentences()
    training = perceptron.Training(perceptron.read(Sentences(tokens, labels, lengths), 3, ahead), 3)
    order = np.argsort(-lengths.numpy(), kind="stable")  # as it is read
    parts = [(tokens.split(lengths.tolist())[i].tolist(), labels.split(lengths.tolist())[i].tolist()) for i in order]
    known = {f for words, true in parts for i in range(len(words)) for f in described(words, i, true[:i], ahead)}
    twin = Twin(known)
    for epoch in range(2):
        shuffled = np.random.default_rng(epoch).permutation(len(parts))
        training.epoch(shuffled)
        for words, true in (parts[i] for i in shuffled):
            guesses: list[int] = []
            for i, target in enumerate(true):
                guesses.append(twin.learn(described(words, i, guesses, ahead), target, 3))
    averaged = perceptron.Perceptron(training.words, training.labels, training.averaged(), ahead)
    mean = defaultdict(float, {key: total / twin.steps for key, total in twin.total.items()})
    for words in ([0, 5, 3, 11, 3, 2, 7], [1], [13, 0, 13]):  # 13 was never seen
        batch = Batch(torch.tensor(words)[:, None], torch.zeros(len(words), 1, dtype=torch.int64))
        found, guesses = averaged.scores(batch)[:, 0], []
        for i in range(len(words)):
            features = described(words, i, guesses, ahead)
            expected = [twin.score(mean, features, label) for label in range(3)]
            np.testing.assert_allclose(found[i], expected, atol=1e-5)
            guesses.append(int(found[i].argmax()))


def test_affixes_are_features_only_where_the_task_has_them() -> None:
    alone = Batch(torch.zeros(4, 2, dtype=torch.int64), torch.zeros(4, 2, dtype=torch.int64))
    affixed = alone._replace(inputs=torch.zeros(4, 2, 3, dtype=torch.int64))
    assert len(perceptron.word_features(affixed, False)) == len(perceptron.word_features(alone, False)) + 2


def test_the_temperature_is_the_best_on_the_validation_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptron, "EPOCHS", 2)
    config = configured("labelling_hironsan_ner")
    task = tasks.build(config.task, config.data, 0)
    fitted = opponents.fit("perceptron", task)
    assert isinstance(fitted, perceptron.Perceptron)
    best = opponents.measure(fitted, task, "val")
    for factor in (0.8, 1.25):
        monkeypatch.setattr(fitted, "_temperature", fitted._temperature * factor)
        other = opponents.measure(fitted, task, "val")
        assert other["nats"] > best["nats"]
        assert other["accuracy"] == best["accuracy"]
        monkeypatch.setattr(fitted, "_temperature", fitted._temperature / factor)
