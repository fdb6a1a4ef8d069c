"""What a report says of arms and opponents: what is beaten, what is not shown, rows, lines, older runs."""

import json
import math

import pandas as pd
import pytest

from study.report.data.comparison import Comparison, rank
from study.report.data.opponents import against, hardest, reached
from study.report.data.ranking import answer
from study.report.pages.study import _references

OPPONENTS = {"HAR": 0.5, "persistence": 0.6, "training mean": 0.7}


def compared(
    values: dict[str, list[float]], opponents: dict[str, float] = OPPONENTS, maximize: bool = False
) -> Comparison:  # fmt: skip
    """A comparison of arms with these values at seeds 0, 1, ..."""
    rows = [
        {"arm": arm, "seed": seed, "value": value, "baseline": 0.6, "verdict": "healthy", "updates": 10.0}
        | {
            "ending": "completed",
            "outcome": "completed",
            "steps": 1e3,
            "parameters": 100,
            "state_size": 8,
            "seconds": 1.0,
            "decay": -0.1,
            "horizon": 9.0,
        }
        | {"opponents": json.dumps(opponents) if opponents else ""}
        for arm, found in values.items()
        for seed, value in enumerate(found)
    ]
    runs = pd.DataFrame(rows)
    return Comparison("task", "family", "rmse", maximize, runs, rank(runs, maximize))


@pytest.mark.parametrize(
    ("value", "cell", "sentence"),
    [
        (0.45, "all 3", "Ahead of every opponent on its one seed."),
        (0.495, "2 of 3, not HAR", "Level with HAR on its one seed."),
        (0.55, "2 of 3, not HAR", "Behind HAR on its one seed."),
        (0.80, "none of 3", "Behind HAR on its one seed."),
    ],
)
def test_one_seed_says_what_it_is_ahead_of(value: float, cell: str, sentence: str) -> None:
    found = answer(compared({"lstm": [value]}), {})[0]
    assert found.beats == cell
    assert found.sentence.endswith(sentence)


@pytest.mark.parametrize(
    ("values", "cell", "sentence"),
    [
        ([0.44, 0.45, 0.46], "all 3", "Beats every opponent."),
        ([0.40, 0.49, 0.58], "none of 3", "Not shown to differ from HAR at 3 seeds."),
        ([0.54, 0.55, 0.56], "2 of 3, not HAR", "Behind HAR."),
    ],
)
def test_several_seeds_beat_only_what_their_interval_leaves_out(values: list[float], cell: str, sentence: str) -> None:
    found = answer(compared({"lstm": values}), {})[0]
    assert found.beats == cell
    assert found.sentence.endswith(sentence)


def test_more_is_better_where_the_measure_is_maximized() -> None:
    comparison = compared({"lstm": [0.65]}, maximize=True)
    assert against(comparison)["lstm"].beaten == ["persistence", "HAR"]
    assert [*reached(comparison)] == ["training mean", "persistence", "HAR"]


def test_intervals_against_opponents_hold_for_all_arms_together() -> None:
    values = [0.44, 0.46, 0.48]
    alone = against(compared({"lstm": values}))["lstm"].gaps["HAR"]
    among = against(compared({"lstm": values, "gru": values, "elman": values}))["lstm"].gaps["HAR"]
    assert among.mean == pytest.approx(alone.mean)
    assert among.high - among.low > alone.high - alone.low


def test_a_diverged_run_beats_nothing() -> None:
    comparison = compared({"lstm": [math.nan], "gru": [0.45]})
    diverged = answer(comparison, {})[1]
    assert (diverged.beats, diverged.sentence) == ("-", "The run diverged.")


def test_opponents_are_rows_and_the_best_is_a_line() -> None:
    comparison = compared({"lstm": [0.45]})
    assert list(_references(comparison)) == [("HAR", "0.5"), ("persistence", "0.6"), ("training mean", "0.7")]
    assert hardest(comparison) == ("HAR", 0.5)


def test_an_opponent_that_differs_between_arms_has_a_range_and_no_line() -> None:
    comparison = compared({"short": [0.45], "long": [0.4]}, {"guess": 0.5})
    comparison.runs.loc[comparison.runs["arm"] == "long", "opponents"] = json.dumps({"guess": 0.3})
    assert list(_references(comparison)) == [("guess", "0.3 to 0.5")]
    assert hardest(comparison) is None
    assert against(comparison)["short"].beaten == ["guess"]
    assert against(comparison)["long"].beaten == []


def test_runs_of_older_versions_are_measured_against_the_naive_guess() -> None:
    comparison = compared({"lstm": [0.45]}, {})
    assert list(_references(comparison)) == [("naive guess", "0.6")]
    assert answer(comparison, {})[0].beats == "-"
    assert answer(comparison, {})[0].sentence.endswith("Ahead of the naive guess on its one seed.")
