"""Maps of two swept numbers: which keys make one, what stands in a cell, and the borders drawn across."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from study.figures.plane import Swept
from study.report.data import planes as module
from study.report.data.comparison import Comparison, rank
from study.report.data.planes import cells, planes
from study.report.figures.maps import CHAOS, RADIUS, REACHED, maps
from study.tracking.reader import Logged

GAINS, RATES = (0.5, 1.0, 2.0, 4.0), (0.01, 0.1, 1.0)
HORIZON = 10


def run(model: str, gain: float, rate: float, seed: int, **others: object) -> dict[str, object]:
    """A row of a comparison; its gradient grows by log(gain / 2) a step."""
    logged = Logged("", "", "", "", "", "FINISHED", {}, {}, {"gain": gain})
    return {
        "arm": f"{model} gain={gain} lr={rate}", "seed": seed, "value": rate, "outcome": "completed",
        "logged": logged, "params.model.name": model, "params.model.gain": str(gain),
        "params.optimizer.lr": str(rate), "params.task.horizon": str(HORIZON), **others,
    }  # fmt: skip


def compared(rows: list[dict[str, object]]) -> Comparison:
    runs = pd.DataFrame(rows, index=pd.Index([f"{number:032x}" for number in range(len(rows))], name="run_id"))
    return Comparison("task", "family", "rmse", False, runs, rank(runs, False))


def flow_of(comparison: Comparison) -> pd.DataFrame:
    """Their flow before the first update and at the end, the lags in both; the one at the end counts."""
    lags = np.arange(HORIZON + 5)
    parts = [
        pd.DataFrame({"run_id": name, "arm": "", "update": update, "lag": lags, "log_share": lags * slope})
        for name, row in comparison.runs.iterrows()
        for update, slope in ((0, 9.0), (60, math.log(row["logged"].measures["gain"] / 2)))
    ]
    return pd.concat(parts)


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What every run measured before its first update: exponent log(gain / 2), spectral radius the gain."""

    def table(run: Logged, file: str, columns: list[str]) -> pd.DataFrame:
        found = {"exponent": math.log(run.measures["gain"] / 2), "spectral_radius": run.measures["gain"]}[columns[1]]
        return pd.DataFrame({"update": [0, 60], columns[1]: [found, 99.0]})

    monkeypatch.setattr(module, "load_table", table)


@pytest.fixture
def comparison() -> Comparison:
    """Two models, a gain and a rate; of the largest gain and rate both seeds diverged, of the largest rate one."""
    rows = [run(m, g, r, s) for m in ("elman", "gru") for g in GAINS for r in RATES for s in (0, 1)]
    for row in rows:
        lost = row["params.optimizer.lr"] == "1.0" and (row["seed"] == 1 or row["params.model.gain"] == "4.0")
        row.update({"outcome": "diverged", "value": math.nan} if lost else {})
    return compared(rows)


def test_two_numbers_with_three_values_each_make_a_map_with_a_panel_for_each_other_combination(
    comparison: Comparison,
) -> None:
    (plane,) = planes(comparison)
    assert plane.keys == ("model.gain", "optimizer.lr")
    assert set(plane.runs["panel"]) == {"elman", "gru"}
    assert len(plane.runs) == len(comparison.runs)


@pytest.mark.parametrize(
    "rows",
    [
        [run("elman", g, r, 0) for g in GAINS for r in (0.1, 1.0)],
        [run(m, g, 0.1, 0) for m in ("elman", "gru", "lstm") for g in GAINS],
        [run("elman", g, 0.1, 0, **{"params.task.horizon": str(int(8 * g))}) for g in GAINS],
        [run("elman", g, r, 0, **{"params.model.hidden_size": str(8 * (g > 1))}) for g in GAINS for r in RATES],
    ],
    ids=["two values", "words", "a key that goes with the other", "a key that only splits it"],
)  # fmt: skip
def test_less_than_three_values_words_and_keys_that_go_together_make_no_map(rows: list[dict[str, object]]) -> None:
    assert not list(planes(compared(rows)))


def test_what_a_search_chose_makes_no_map(comparison: Comparison) -> None:
    assert not list(planes(replace(comparison, tuned=frozenset({"optimizer.lr"}))))


def test_a_cell_has_the_outcome_of_most_and_of_a_tie_the_worse_and_means_without_runs_that_were_lost(
    comparison: Comparison,
) -> None:
    (plane,) = planes(comparison)
    found = {(row["panel"], row["x"], row["y"]): row for _, row in cells(plane, flow_of(comparison)).iterrows()}
    tie, both, fine = (found["gru", *cell] for cell in ((1.0, 1.0), (4.0, 1.0), (1.0, 0.1)))
    assert (tie["outcome"], tie["agree"], tie["lost"], tie["value"]) == ("diverged", 1, 1, 1.0)
    assert (both["agree"], both["lost"]) == (2, 2)
    assert math.isnan(both["value"])
    assert fine["share"] == pytest.approx(0.5**HORIZON)
    assert (fine["exponent"], fine["radius"]) == (math.log(0.5), 1.0)


def test_what_is_drawn_says_its_borders_and_what_is_missing(comparison: Comparison) -> None:
    less = comparison.runs[~((comparison.runs["params.model.gain"] == "4.0") & (comparison.runs["value"] == 0.1))]
    kept = Comparison("task", "family", "rmse", False, less, rank(less, False))
    (picture,) = maps(kept, flow_of(kept))
    assert picture.name == "task-map-model-gain-optimizer-lr"
    assert all(words in picture.svg for words in (CHAOS, RADIUS, "D 1/2", "gru: rmse on test"))
    assert REACHED not in picture.svg
    assert "Empty: no run that counts (2 of 24 cells)." in picture.caption
    assert len(picture.data) == 22


def test_arms_without_a_number_have_no_cell_and_are_named() -> None:
    full = [run("elman", 1.0, r, 0, **{"params.bptt.k2": "None", "arm": f"full BPTT lr={r}"}) for r in RATES]
    swept = [{"params.bptt.k2": str(k2), "arm": f"k2={k2} lr={r}"} for k2 in (0, 20, 50) for r in RATES]
    rows = [run("elman", 1.0, r, 0, **more) for more, r in zip(swept, 3 * RATES, strict=True)]
    found = compared([*full, *rows])
    (picture,) = maps(found, flow_of(found))
    assert "Left out: full BPTT lr=0.01, full BPTT lr=0.1, full BPTT lr=1.0 (no number for " in picture.caption
    assert set(picture.data["y"]) | set(picture.data["x"]) == {0.0, 20.0, 50.0, *RATES}


def test_a_border_that_is_not_crossed_is_not_drawn_and_k2_has_one_at_the_horizon() -> None:
    swept = [{"params.bptt.k2": str(k2), "arm": f"k2={k2} lr={r}"} for k2 in (5, 20, 50) for r in RATES]
    rows = [run("elman", 1.0, r, 0, **more) for more, r in zip(swept, 3 * RATES, strict=True)]
    found = compared(rows)
    (picture,) = maps(found, flow_of(found))
    assert REACHED in picture.svg
    assert CHAOS not in picture.svg
    assert "is -0.69 to -0.69 nats a step and crosses 0 in no map" in picture.caption


def test_runs_of_older_versions_that_measured_less_have_a_map_too(
    comparison: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "load_table", lambda *_: None)
    (picture,) = maps(comparison, pd.DataFrame())
    assert picture.data["share"].isna().all()
    assert "none was measured before the first update" in picture.caption


def test_values_stand_where_they_are_even_and_cells_end_midway() -> None:
    assert Swept("lr", np.array([0.01, 0.1, 1.0])).edges == pytest.approx([-2.5, -1.5, -0.5, 0.5])
    assert Swept("k2", np.array([10.0, 20.0, 30.0])).edges == pytest.approx([5.0, 15.0, 25.0, 35.0])
    assert Swept("gain", np.array([0.0, 0.5, 4.0])).edges == pytest.approx([-0.25, 0.25, 2.25, 5.75])
