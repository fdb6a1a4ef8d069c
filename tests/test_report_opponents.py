"""What a report says of arms and opponents: what is beaten, what is not shown, rows, lines, older runs."""

import json
import math

import pytest

from study.report.data.comparison import Comparison
from study.report.data.opponents import against, hardest, reached
from study.report.data.ranking import answer
from study.report.pages.answer import references
from tests.arms import compared

OPPONENTS = {"HAR": 0.5, "persistence": 0.6, "training mean": 0.7}


def against_them(values: dict[str, list[float]], maximize: bool = False) -> Comparison:
    """Arms with these values, measured against `OPPONENTS`."""
    return compared(values, maximize, 0.6, OPPONENTS)


@pytest.mark.parametrize(
    ("value", "cell", "sentence"),
    [
        (0.45, "all 3", "ahead of every opponent, the hardest being HAR (0.5), on its one seed."),
        (0.495, "2 of 3, not HAR", "level with HAR (0.5) on its one seed."),
        (0.55, "2 of 3, not HAR", "behind HAR (0.5) on its one seed."),
        (0.80, "none of 3", "behind HAR (0.5) on its one seed."),
    ],
)
def test_one_seed_says_what_it_is_ahead_of(value: float, cell: str, sentence: str) -> None:
    found = answer(against_them({"lstm": [value]}), {})[0]
    assert found.beats == cell
    assert found.sentence.endswith(sentence)


@pytest.mark.parametrize(
    ("values", "cell", "sentence"),
    [
        ([0.44, 0.45, 0.46], "all 3", "beats every opponent, the hardest being HAR (0.5)."),
        ([0.40, 0.49, 0.58], "none of 3", "not distinguishable from HAR (0.5) at 3 seeds."),
        ([0.54, 0.55, 0.56], "2 of 3, not HAR", "behind HAR (0.5)."),
    ],
)
def test_several_seeds_beat_only_what_their_interval_leaves_out(values: list[float], cell: str, sentence: str) -> None:
    found = answer(against_them({"lstm": values}), {})[0]
    assert found.beats == cell
    assert found.sentence.endswith(sentence)


def test_more_is_better_where_the_measure_is_maximized() -> None:
    comparison = against_them({"lstm": [0.65]}, maximize=True)
    assert against(comparison)["lstm"].beaten == ["persistence", "HAR"]
    assert [*reached(comparison)] == ["training mean", "persistence", "HAR"]


def test_intervals_against_opponents_hold_for_all_arms_together() -> None:
    values = [0.44, 0.46, 0.48]
    alone = against(against_them({"lstm": values}))["lstm"].gaps["HAR"]
    among = against(against_them({"lstm": values, "gru": values, "elman": values}))["lstm"].gaps["HAR"]
    assert among.mean == pytest.approx(alone.mean)
    assert among.high - among.low > alone.high - alone.low


def test_a_diverged_run_beats_nothing() -> None:
    comparison = against_them({"lstm": [math.nan], "gru": [0.45]})
    diverged = answer(comparison, {})[1]
    assert (diverged.beats, diverged.sentence) == (
        "-",
        "the run diverged at update 10, so there is no rmse to compare.",
    )


def test_opponents_are_rows_and_the_best_is_a_line() -> None:
    comparison = against_them({"lstm": [0.45]})
    assert list(references(comparison)) == [("HAR", "0.5"), ("persistence", "0.6"), ("training mean", "0.7")]
    assert hardest(comparison) == ("HAR", 0.5)


def test_an_opponent_that_differs_between_arms_has_a_range_and_no_line() -> None:
    comparison = compared({"short": [0.45], "long": [0.4]}, opponents={"guess": 0.5})
    comparison.runs.loc[comparison.runs["arm"] == "long", "opponents"] = json.dumps({"guess": 0.3})
    assert list(references(comparison)) == [("guess", "0.3 to 0.5")]
    assert hardest(comparison) is None
    assert against(comparison)["short"].beaten == ["guess"]
    assert against(comparison)["long"].beaten == []


def test_runs_of_older_versions_are_measured_against_the_naive_guess() -> None:
    comparison = compared({"lstm": [0.45]}, baseline=0.6)
    assert list(references(comparison)) == [("naive guess", "0.6")]
    assert answer(comparison, {})[0].beats == "-"
    assert answer(comparison, {})[0].sentence.endswith("ahead of the naive guess (0.6) on its one seed.")
