"""One sentence an arm: what it reached, on what it rests, what it is shown to be better or worse than, how it ended."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from study.report.data.comparison import Comparison, rank
from study.report.data.ranking import Answer, answer, compare, naive_gaps
from study.report.data.statistics import Interval, mean_interval
from study.report.data.wording import format_interval
from study.report.pages.page import Conclusions, Page, Section, Statement, Swatch
from tests.arms import compared


def sentences(comparison: Comparison) -> dict[str, str]:
    return {found.arm: found.sentence for found in answer(comparison, {})}


def test_a_sentence_holds_measure_interval_seeds_ending_and_how_the_arm_compares() -> None:
    found = sentences(compared({"a": [1.0, 1.1, 1.2], "b": [2.0, 2.2, 2.1]}, baseline=3.0, opponents={"HAR": 0.5}))
    assert found["a"] == (
        "rmse 1.10 ± 0.25 on test (95% interval over 3 seeds; all completed); the best mean of 2 arms, better than all "
        "others; behind HAR (0.5)."
    )
    assert re.search(r"; worse than the best \(a\) by 1\.00 ± 0\.\d+; behind HAR \(0\.5\)\.$", found["b"])


def test_the_best_arm_says_how_many_others_it_is_shown_to_be_better_than() -> None:
    apart = sentences(compared({"a": [1.0, 2.0, 3.0], "b": [1.1, 2.1, 3.2], "c": [9.0, 10.0, 11.1]}))
    assert apart["a"].endswith("the best mean of 3 arms, better than all others.")
    alike = sentences(compared({"a": [1.0, 2.0, 3.0], "b": [2.0, 1.5, 3.5]}))
    assert alike["a"].endswith("the best mean of 2 arms, not shown to be better than any.")
    assert alike["b"].endswith("not distinguishable from the best (a) at 3 seeds.")


@pytest.mark.parametrize("maximize", [True, False])
def test_the_naive_guess_is_beaten_only_if_the_interval_for_all_arms_together_says_so(maximize: bool) -> None:
    sign = -1.0 if maximize else 1.0
    values = [-sign * v for v in (1.0, 1.1, 1.2)]
    alone = compared({"a": values}, maximize, baseline=-sign * 0.8)
    among = compared({str(arm): values for arm in range(6)}, maximize, baseline=-sign * 0.8)
    half = stats.t.isf(0.025 / 6, 2) * 0.1 / math.sqrt(3)
    assert naive_gaps(among)["0"] == pytest.approx((-0.3, -0.3 - half, -0.3 + half, 3))
    assert "beats the naive guess (" in sentences(alone)["a"]
    assert "not distinguishable from the naive guess (" in sentences(among)["0"]


def test_one_seed_claims_no_more_than_that_it_is_one() -> None:
    assert sentences(compared({"a": [1.0], "b": [2.0]}, baseline=3.0)) == {
        "a": "rmse 1.000 on test (its one seed; completed); the best of 2 arms on its one seed; "
        "ahead of the naive guess (3) on its one seed.",
        "b": "rmse 2.000 on test (its one seed; completed); ahead of the naive guess (3) on its one seed.",
    }


def test_a_ruined_run_loses_and_says_nothing_of_the_scatter_of_others() -> None:
    whole = compared({"a": [1.0, 1.1], "b": [1.3, 1.4], "c": [1.2, 1.6e6]})
    ruined = whole.runs["value"] > 5
    runs = whole.runs.assign(**{key: whole.runs[key].mask(ruined, "ruined") for key in ("outcome", "ending")})
    with_ruined = replace(whole, runs=runs, arms=rank(runs, maximize=False))
    without = compared({"a": [1.0, 1.1], "b": [1.3, 1.4], "c": [1.2, math.nan]})
    assert with_ruined.arms == without.arms == ["a", "b", "c"]
    assert compare(with_ruined).between(1, 0) == compare(without).between(1, 0)
    last = answer(with_ruined, {})[-1]
    assert (last.lost, last.measure.mean) == (1, 1.2)
    assert last.sentence.startswith("rmse 1.200 on test (1 of 2 seeds; 1 completed, 1 ruined by its own updates)")


def test_an_arm_whose_runs_all_diverged_says_when_and_has_no_measure() -> None:
    last = answer(compared({"a": [1.0, 1.1], "b": [math.nan, math.nan]}, baseline=2.0), {})[-1]
    assert (last.lost, format_interval(last.measure)) == (2, "-")
    assert last.sentence == "all 2 runs diverged at update 10, so there is no rmse to compare."


def test_of_many_arms_the_sentences_of_the_best_are_seen_at_once_and_no_other_is_lost(tmp_path: Path) -> None:
    arms = answer(compared({f"arm{number}": [float(number)] for number in range(10)}), {})
    page = Page("many", "", [], [Section("task")], {}, "", conclusions=[conclude(arms)]).write(tmp_path, "page")
    seen, _, folded = page.read_text().partition("<summary>2 more</summary>")
    assert [seen.count(f"<b>arm{number}</b>: rmse {number}.000") for number in (0, 7, 8, 9)] == [1, 1, 0, 0]
    assert [folded.count(f"<b>arm{number}</b>") for number in (7, 8, 9)] == [0, 1, 1]


def conclude(found: list[Answer]) -> Conclusions:
    return Conclusions("task", "task", [Statement(one.arm, one.sentence, Swatch(n)) for n, one in enumerate(found)])


def test_an_interval_is_a_mean_plus_minus_half_of_it_with_as_many_digits_as_it_bears() -> None:
    assert format_interval(Interval(1.23456, 1.08456, 1.38456, 5)) == "1.23 ± 0.15"
    assert format_interval(Interval(1.23456, math.nan, math.nan, 1)) == "1.235"
    cut = mean_interval([0.97, 0.99]).within(0.0, 1.0)
    assert format_interval(cut) == format_interval(mean_interval([0.97, 0.99])) == "0.98 ± 0.13"
