"""Search pages: importance against Optuna and brute force, trials read back as they were searched."""

import itertools
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor

from study.report.data.importance import FEWEST, TREES, importance, importances_by_arm
from study.report.data.plan import Planned, load_plan, missing
from study.report.data.runs import _tuned
from study.report.data.trials import Search, searches
from study.report.pages import search as search_page
from study.report.pages.page import Page

DRAWS = np.random.default_rng(0).random((60, 3))
MAES = (0.2, 0.4, 0.3)
VALUES = np.sin(3 * DRAWS[:, 0]) + 2 * DRAWS[:, 1] * DRAWS[:, 2]


def trial(arm: str, lr: float, value: float, outcome: str = "completed", **others: object) -> dict[str, object]:
    """A row of the evidence."""
    model = arm.removeprefix("model=")
    return {
        "task": "t", "label": arm, "phase": "search", "measure": "rmse", "validation": value, "outcome": outcome,
        "arm_name": "", "error": "", "note": f"**{outcome}**: why", "seed": 1000,
        "params.model.name": model, "params.optimizer.lr": str(lr), **others,
    }  # fmt: skip


def evidence(*rows: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame(rows, index=pd.Index([f"run{i}" for i in range(len(rows))], name="run_id"))


@pytest.fixture
def search() -> Search:
    """Two arms; of the first a trial was pruned and one diverged."""
    rows = [trial("model=elman", 10.0**-i, 0.1 * i + 0.1) for i in range(12)]
    rows += [trial("model=elman", 2.0, 0.05, "pruned"), trial("model=elman", 9.0, math.nan, "diverged")]
    rows += [trial("model=lstm", 10.0**-i, 0.2 * i + 0.2) for i in range(3)]
    return next(searches(evidence(*rows), {"optimizer.lr": "1e-11 to 9.0, log"}))


def test_what_keys_explain_alone_is_what_optuna_s_fanova_says_of_the_same_forest() -> None:
    unit = optuna.distributions.FloatDistribution(0, 1)
    space: dict[str, optuna.distributions.BaseDistribution] = {str(key): unit for key in range(3)}
    study = optuna.create_study()
    for point, value in zip(DRAWS, VALUES, strict=True):
        parameters = {str(key): float(x) for key, x in enumerate(point)}
        study.add_trial(optuna.create_trial(params=parameters, distributions=space, value=float(value)))
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=TREES, seed=0)
    theirs = evaluator.evaluate(study)
    found = importance(DRAWS, VALUES)
    assert found is not None
    assert np.diag(found.shares) == pytest.approx([theirs[str(key)] for key in range(3)], abs=1e-6)


def test_what_pairs_explain_is_what_means_over_a_fine_grid_say() -> None:
    found = importance(DRAWS, VALUES)
    assert found is not None
    middles = (np.arange(48) + 0.5) / 48
    grid = np.array(list(itertools.product(middles, repeat=3)))
    forest = RandomForestRegressor(TREES, random_state=0).fit(DRAWS, VALUES)
    shares = []
    for tree in forest.estimators_[:8]:
        cube = tree.predict(grid).reshape(48, 48, 48)
        first, second = cube.mean((0, 2)), cube.mean((0, 1))
        shares.append((cube.mean(0).var() - first.var() - second.var()) / cube.var())
    exact = [importance_of_one(tree)[1, 2] for tree in forest.estimators_[:8]]
    assert exact == pytest.approx(shares, abs=0.02)
    assert found.shares[1, 2] > max(found.shares[0, 1], found.shares[0, 2])


def importance_of_one(tree: object) -> np.ndarray:
    from study.report.data.importance import _boxes, _shares

    shares = _shares(*_boxes(tree.tree_, 3))  # type: ignore[attr-defined]
    assert shares is not None
    return shares


def test_a_forest_that_knows_nothing_says_so_and_too_few_trials_make_none() -> None:
    noise = importance(DRAWS, np.random.default_rng(1).random(60))
    assert noise is not None
    assert noise.fit < 0.1
    assert importance(DRAWS[: FEWEST - 1], VALUES[: FEWEST - 1]) is None
    assert importance(DRAWS, np.ones(60)) is None


def test_where_it_is_not_shown_which_keys_matter_the_page_says_why(search: Search) -> None:
    text = " ".join(next(iter(search_page.sections(search))).texts)
    assert text == "Which keys matter is not shown for elman, lstm (only lr varied)."
    rows = [trial("model=elman", 10.0**-i, 0.1 * i, **{"params.clip.threshold": str(1.0 + i % 3)}) for i in range(9)]
    assert importances_by_arm(next(searches(evidence(*rows), {}))) == {"elman": "9 of the 10 trials that it takes"}
    rows = [
        row | {"validation": 0.5} for row in (*rows, trial("model=elman", 3.0, 0.5, **{"params.clip.threshold": "1"}))
    ]
    assert importances_by_arm(next(searches(evidence(*rows), {}))) == {"elman": "all trials are worth the same"}


def test_arms_are_named_without_what_was_tuned_and_the_best_stands_first(search: Search) -> None:
    assert search.arms == ["elman", "lstm"]
    assert [axis.key for axis in search.axes] == ["optimizer.lr"]


def test_a_log_scale_is_equal_steps_to_the_search(search: Search) -> None:
    assert np.ptp(np.diff(search.axes[0].unit(pd.Series([1e-6, 1e-4, 1e-2])))) == pytest.approx(0, abs=1e-12)


def test_diverged_trials_come_last_and_pruned_ones_with_their_last_validation(search: Search) -> None:
    ranks = pd.Series(search.ranks("elman"), search.of("elman")["outcome"])
    assert ranks["diverged"] == 1.0
    assert ranks["pruned"] == 0.0


def test_the_keys_in_which_trials_of_one_arm_differ_were_tuned() -> None:
    of_two = [trial(f"model={name}", rate, 0.1) for name in ("elman", "lstm") for rate in (0.1, 0.2)]
    assert _tuned(evidence(*of_two), ["optimizer.lr"]) == _tuned(evidence(*of_two), ["optimizer"]) == {"optimizer.lr"}
    assert _tuned(evidence(*of_two), ["model.hidden_size"]) == _tuned(evidence(*of_two)[:0], ["optimizer.lr"]) == set()


def test_of_a_tuned_group_the_choice_is_an_axis_and_not_what_goes_with_it() -> None:
    rows = [trial("task=t", 0.1 * i, i, **{"params.model.name": m}) for i, m in enumerate(("elman", "lstm", "gru"), 1)]
    rows[1]["params.model.forget_bias"] = "1.0"
    found = next(searches(evidence(*rows), {"model": "elman, lstm, gru", "optimizer.lr": "0.1 to 0.3"}))
    assert {axis.key: axis.choices for axis in found.axes} == {
        "model.name": ("elman", "gru", "lstm"),
        "optimizer.lr": (),
    }


def test_a_search_for_another_measure_is_told_by_that_measure() -> None:
    rows = [trial("model=elman", 10.0**-i, 0.1) for i in range(3)]
    rows = [row | {"logged": SimpleNamespace(measures={"mae/val": v})} for row, v in zip(rows, MAES, strict=True)]
    found = next(searches(evidence(*rows), {}, "maximize mae/val"))
    assert (found.measure, found.maximize, found.trials["value"].max()) == ("mae", True, 0.4)
    assert found.ranks("elman").tolist() == [1.0, 0.0, 0.5]


def test_every_trial_is_named_with_what_ended_it(search: Search, tmp_path: Path) -> None:
    sections = list(search_page.sections(search))
    page = Page("s", "", [], sections, {}, "http://127.0.0.1:5000").write(tmp_path, "report").read_text()
    assert "pruned: why" in page
    assert "diverged: why" in page
    assert page.count('<a class="run"') == len(search.trials) + len(search.arms)


def test_a_search_over_nothing_that_varies_has_a_page_too(tmp_path: Path) -> None:
    found = next(searches(evidence(trial("model=elman", 0.1, math.nan, "failed")), {}))
    page = Page("s", "", [], list(search_page.sections(found)), {}, "").write(tmp_path, "report").read_text()
    assert "failed: why" in page


def test_what_a_plan_asks_for_and_no_run_has_given_is_named() -> None:
    planned = Planned({"elman": {"model=elman"}, "lstm": {"model=lstm"}}, [0, 1], 3, {"optimizer.lr": "0 to 1"})
    rows = [trial("model=elman", 0.1, 0.1), trial("model=elman", 0.2, 0.1, "running")]
    told = missing(planned, evidence(*rows))
    assert told == (
        "9 planned runs have no result yet (elman: 2 of 3 trials; elman: 2 of 2 seeds; lstm: 3 of 3 trials; "
        "lstm: 2 of 2 seeds)."
    )
    assert missing(Planned({"elman": {"model=elman"}}, [], 1, {"optimizer.lr": "0 to 1"}), evidence(rows[0])) == ""


def test_without_a_plan_nothing_is_said_to_be_missing() -> None:
    assert load_plan(None) == Planned()
