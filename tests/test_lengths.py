"""Length generalisation: a task at further lengths, what a run leaves of them, and what the report shows."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from study import tasks
from study.analysis.lengths import TABLE, AtLength, by_length, table, unsolved_at
from study.analysis.result import Result
from study.report.data.lengths import by_length as recorded
from study.report.data.runs import gather
from study.report.figures.lengths import generalisation
from study.report.pages import run as run_page
from study.report.pages import study as study_page
from study.reproduce.compare import compare
from study.schema import Config
from study.tracking.reader import find, find_one
from study.train import train
from tests.drawn import built

UI = "http://127.0.0.1:5000"
PARITY = ["task=labelling_parity", "task.seq_len=6", "task.horizon=3", "task.sequences=640", "task.held_out=64"]
PARITY += ["model.hidden_size=4", "trainer.max_updates=20", "trainer.validate_every=20", "probe=none"]


def test_a_task_at_another_length_is_the_task_that_was_made_for_it() -> None:
    task = built("labelling_parity", test_lengths=[40, 10])
    found = task.at_lengths()
    assert list(found) == [10, 20, 40]
    assert found[20] is task
    longer = built("labelling_parity", seq_len=40)
    assert torch.equal(next(found[40].batches("test").epoch(0)).inputs, next(longer.batches("test").epoch(0)).inputs)
    assert not found[40].at_lengths()
    assert not built("labelling_parity").at_lengths()


def test_of_copying_the_delay_is_its_length() -> None:
    found = built("language_copying", test_lengths=[30]).at_lengths()
    assert {delay: next(task.batches("val").epoch(0)).longest for delay, task in found.items()} == {10: 20, 30: 40}


def test_further_lengths_change_no_bit_of_what_is_trained_on() -> None:
    plain, more = built("labelling_parity"), built("labelling_parity", test_lengths=[40])
    for split in tasks.SPLITS:
        pairs = zip(plain.batches(split).epoch(0), more.batches(split).epoch(0), strict=True)
        assert all(torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets) for a, b in pairs)


# What a run leaves of them.


def test_at_its_own_length_a_network_is_not_tested_twice_and_at_others_by_the_same_criterion() -> None:
    task = built("labelling_parity", test_lengths=[10, 40])
    own, guess, asked = {"accuracy": 1.0, "nats": 0.0}, {"accuracy": 0.5, "nats": 0.7}, []

    def evaluate(other: tasks.Task) -> dict[str, float]:
        asked.append(next(other.batches("test").epoch(0)).longest)
        return {"loss": 1.0, "accuracy": 20 / asked[-1], "macro_f1": 0.5, "nats": 1.0}

    found = by_length(task, own, guess, evaluate)
    assert asked == [10, 40]
    assert [(at.length, at.trained, at.solved) for at in found] == [
        (10, False, True),
        (20, True, True),
        (40, False, False),
    ]
    assert found[1].test == own
    assert unsolved_at(found, "accuracy") == (40, 0.5)
    assert unsolved_at(found[:2], "accuracy") is None
    assert not by_length(built("labelling_parity"), own, guess, evaluate)


def test_a_task_without_a_criterion_is_unsolved_at_no_length() -> None:
    at = AtLength(4, False, {"rmse": 1.0}, {"rmse": 1.0}, None)
    assert unsolved_at([at], "rmse") is None
    assert table([at]).to_pylist() == [{"length": 4, "trained": False, "rmse/test": 1.0, "rmse/baseline": 1.0}]


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """Runs of this file by name: made by the first test, read by the others."""
    return {}


def test_a_run_is_tested_at_further_lengths_after_the_same_training(
    configure: Callable[..., Config], results: dict[str, Result]
) -> None:
    further = "task.test_lengths=[12,24]"
    plain = train(configure(*PARITY, "slug=lengths-plain"))
    for model in ("elman", "lstm"):
        results[model] = train(configure(*PARITY, f"model={model}", "model.hidden_size=4", further, "slug=lengths"))
    found, config = results["elman"], configure()
    run, before = (find(config.tracking.uri, result.run_id)[0] for result in (found, plain))
    assert compare(before, run).identical  # every number of a run without them
    assert set(run.measures) - set(before.measures) == {"accuracy/by_length"}
    points = list(run.points(["accuracy/by_length"]))
    kept = run.table(TABLE)
    assert [(length, value) for _, length, value in points] == list(
        zip(kept["length"], kept["accuracy/test"], strict=True)
    )
    assert kept["length"].tolist() == [6, 12, 24]
    assert kept["trained"].tolist() == [True, False, False]
    assert kept["accuracy/test"][0] == found.metrics["accuracy/test"]
    assert dict(found.further) == dict(zip([12, 24], kept["accuracy/test"][1:], strict=True))
    assert f"at further lengths: accuracy {found.further[12]:.4g} at 12, " in found.summary(
        "lengths", config.tracking.uri
    )
    assert "at further lengths" not in plain.summary("lengths-plain", config.tracking.uri)
    assert TABLE not in set(before.files())


def test_what_is_measured_at_a_further_length_is_of_sequences_of_that_length() -> None:
    """One who says what came in is right at the first step, and at half of the others."""
    echo = built("labelling_parity", test_lengths=[40])

    def evaluate(other: tasks.Task) -> dict[str, float]:
        metrics = other.metrics()
        for batch in other.batches("test").epoch(0):
            metrics.update(torch.nn.functional.one_hot(batch.inputs, 2).float(), batch)
        return metrics.compute()

    for at in by_length(echo, evaluate(echo), echo.baseline_metrics("test"), evaluate):
        expected = 1 / at.length + (1 - 1 / at.length) / 2
        assert at.test["accuracy"] == pytest.approx(expected, abs=5 * math.sqrt(0.25 / (256 * at.length)))


def test_with_further_lengths_the_charts_of_a_run_stay_at_forty(configure: Callable[..., Config]) -> None:
    more = ["model=lstm", "model.num_layers=2", "model.hidden_size=4", "clip=norm", "task.test_lengths=[8,9,10,11,12]"]
    config = configure(*PARITY, *more, "probe=full", "trainer.max_updates=4", "slug=lengths-charts")
    assert len(MlflowClient(config.tracking.uri).get_run(train(config).run_id).data.metrics) <= 40


# What the report shows.


def test_the_report_has_an_axis_of_length_where_runs_were_tested_along_it(
    configure: Callable[..., Config], store: str, results: dict[str, Result], tmp_path: Path
) -> None:
    (comparison,) = gather(store, "lengths").comparisons
    data = recorded(comparison)
    assert sorted(data["length"]) == [6, 6, 12, 12, 24, 24]
    picture = generalisation(comparison, data)
    assert picture is not None
    for words in ("trained at 6", "guess without memory", "elman", "lstm", "length of the test"):
        assert words in picture.svg
    assert all(f"run:{result.run_id}" in picture.svg for result in results.values())
    page = study_page.write("lengths", store, UI, tmp_path / "report").read_text()
    assert page.count('caption">Length generalisation: ') == page.count("<h3>Length generalisation: ") == 1
    for result in results.values():
        assert f"<td>{result.further[24]:#.4g}</td>" in page
    written = pd.read_csv(tmp_path / "report" / "figures" / "labelling_parity-by-length.csv")
    assert written["value"].tolist() == pytest.approx(data["value"].tolist(), rel=1e-5)
    alone = run_page.write(find_one(store, results["lstm"].run_id), UI, tmp_path / "run").read_text()
    assert "<h3>Length generalisation" in alone


def test_without_further_lengths_the_report_is_as_it_was(
    configure: Callable[..., Config], store: str, results: dict[str, Result], tmp_path: Path
) -> None:
    (comparison,) = gather(store, "lengths-plain").comparisons
    assert recorded(comparison).empty
    assert generalisation(comparison, recorded(comparison)) is None
    assert "Length generalisation" not in study_page.write("lengths-plain", store, UI, tmp_path / "report").read_text()
