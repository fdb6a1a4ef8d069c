"""Pictures of a report: the answer among its opponents, one look for every arm, explosions that stay in their panel."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from study.figures.limits import limit, reach, spans_decades
from study.figures.norms import norm_history
from study.figures.style import COLOURS, Curve, dashes, draw_curves, line_style, marker, panels
from study.report.data.comparison import Comparison
from study.report.data.histories import Norms
from study.report.data.statistics import mean_interval
from study.report.figures.ablation import VARIED, _draw_means, _draw_references, ablation
from study.report.figures.abscissa import Abscissa
from study.report.figures.answers import _label_rows, answer_picture, references
from study.report.figures.arms import choose, measured_when
from study.report.figures.flow import flow_by_lag
from study.report.figures.picture import Picture
from study.report.pages.explorer import explorer
from study.report.pages.page import STROKES
from study.tracking.reader import Logged
from tests.arms import compared

LAGS = np.arange(4)


def drawn(picture: Picture | None) -> Picture:
    assert picture is not None
    return picture


def flows(comparison: Comparison, arms: list[str], update: int = 10) -> pd.DataFrame:
    """Flow of every run of some arms, measured once."""
    runs = comparison.runs[comparison.runs["arm"].isin(arms)]
    each = [
        pd.DataFrame({"run_id": run, "arm": arm, "update": update, "lag": LAGS, "log_share": -0.1 * LAGS})
        for run, arm in runs["arm"].items()
    ]
    return pd.concat(each, ignore_index=True)


def test_the_answer_shows_arms_seeds_opponents_and_the_guess_and_says_what_diverged() -> None:
    comparison = compared({"a": [0.50, 0.51], "b": [0.52, math.nan]}, baseline=0.6, opponents={"HAR": 0.49})
    picture = drawn(answer_picture(comparison))
    for text in ("a", "b", "1 of 2 diverged", "HAR 0.49", "guess without memory 0.6", "rmse on test"):
        assert f">{text}" in picture.svg
    assert all(f'id="run:run{number}:' in picture.svg for number in range(3))
    assert 'id="run:run3:' not in picture.svg  # the one that diverged
    assert picture.data["value"].isna().tolist() == [False, False, False, True]


def test_names_on_several_lines_do_not_overlap() -> None:
    values = {f"{'long name ' * 9}{arm}": [0.5, math.nan, 0.6] for arm in range(9)}
    comparison = compared(values)
    comparison.runs.loc[comparison.runs["value"] == 0.6, "outcome"] = "ruined"
    figure = drawn(answer_picture(comparison)).figure
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(below.y1 <= above.y0 for above, below in itertools.pairwise(boxes))
    assert "1 of 3 ruined" in figure.axes[0].get_yticklabels()[0].get_text()


def test_a_ruined_run_stretches_no_axis() -> None:
    comparison = compared({"a": [0.50, 0.51], "b": [0.52, 1.6e6]}, opponents={"HAR": 0.49})
    comparison.runs.loc[comparison.runs["value"] > 1, "outcome"] = "ruined"
    picture = drawn(answer_picture(comparison))
    assert "1 of 2 ruined" in picture.svg
    assert "0.50" in picture.svg  # a tick
    assert np.nanmax(picture.data["value"]) < 1


def test_labels_of_opponents_do_not_hide_each_other_and_no_line_goes_through_one() -> None:
    against = references(compared({"a": [0.5]}, opponents={"left": 0.50, "middle": 0.51, "right": 0.52}))
    rows = _label_rows(against, 0.4, 0.7)
    assert rows["left"] > rows["middle"] > rows["right"] == 0
    assert set(_label_rows(against, 0.499, 0.56).values()) == {0}


def test_without_a_value_or_anything_to_compare_with_there_is_no_picture_of_an_answer() -> None:
    assert answer_picture(compared({"a": [math.nan], "b": [math.nan]}, opponents={"HAR": 0.49})) is None
    assert answer_picture(compared({"a": [0.5]})) is None


def test_an_arm_looks_the_same_in_a_picture_without_the_better_ones() -> None:
    comparison = compared({"a": [0.5], "b": [0.6]})
    picture = drawn(flow_by_lag(comparison, flows(comparison, ["b"])))
    assert COLOURS[1] in picture.svg
    assert COLOURS[0] not in picture.svg
    assert "Left out: a (the flow was not measured)." in picture.caption


def test_no_two_of_24_arms_look_alike_and_every_look_can_be_shown_beside_a_name() -> None:
    assert len({tuple(line_style(index).values()) for index in range(24)}) == 24
    assert len({(index % len(COLOURS), marker(index)) for index in range(24)}) == 24
    assert {dashes(index) for index in range(24)} == set(STROKES)


def test_arms_that_are_left_out_are_named_with_the_reason() -> None:
    comparison = compared({str(arm): [float(arm)] for arm in range(5)})
    shown, missing = choose(comparison, {"0", "1", "2", "4"}, 2, "not measured")
    assert shown == ["0", "1"]
    assert missing == " Left out: 3 (not measured); 2, 4 (not among the best 2)."
    assert choose(comparison, set(comparison.arms), 5, "not measured") == (comparison.arms, "")


def test_the_last_measurement_of_a_run_that_diverged_is_named_by_its_update() -> None:
    comparison = compared({"a": [0.5, 0.6], "b": [math.nan, 0.7]})
    updates = pd.Series({"run0": 80, "run1": 80, "run2": 7, "run3": 80})
    assert measured_when(comparison, updates) == " Runs that diverged were measured for the last time at: b (update 7)."
    assert not measured_when(comparison, updates[["run0", "run1", "run3"]])
    data = pd.concat([flows(comparison, ["a"], 80), flows(comparison, ["b"], 80)])
    data.loc[data["run_id"] == "run2", "update"] = 7
    picture = drawn(flow_by_lag(comparison, data))
    assert "last measured (update 80; diverged runs: update 7)" in picture.svg
    assert "end of training" not in picture.svg + picture.caption


def panel(kept: list[float], lost: list[float], scale: str) -> tuple[Axes, list[tuple[float, float]]]:
    """A panel with two curves, the second of a lost run, and where triangles are at its edges."""
    curves = [Curve(range(len(values)), values, style={"marker": ""}) for values in (kept, lost)]
    with panels(1) as (_, (axes,)):
        draw_curves(axes, curves)
        axes.set_yscale(scale)
        limit(axes, kept, lost, curves)
    marks = [line for line in axes.get_lines() if line.get_marker() in ("^", "v")]
    return axes, [(float(np.asarray(mark.get_xdata())[0]), float(np.asarray(mark.get_ydata())[0])) for mark in marks]


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_an_explosion_stays_in_its_panel_and_is_marked_where_it_leaves(scale: str) -> None:
    axes, marks = panel([3.0, 1.0, 2.0], [3.0, 5.0, 1e12], scale)
    low, high = axes.get_ylim()
    assert low < 1.0
    assert 3.0 < high < 100
    ((x, y),) = marks
    assert y == high
    assert 0 < x < 2
    assert [text.get_text() for text in axes.texts] == ["to 1e+12"]


def test_a_curve_that_falls_to_nothing_is_marked_too() -> None:
    _, marks = panel([3.0, 1.0, 2.0], [2.0, 0.0], "log")
    assert [y for _, y in marks] == [pytest.approx(1 / 1.2)]


def test_what_stays_in_the_panel_is_not_marked() -> None:
    axes, marks = panel([3.0, 1.0, 2.0], [2.0, 2.5], "linear")
    assert not marks
    assert not axes.texts


def test_where_every_run_was_lost_the_start_of_their_explosion_is_in_the_panel() -> None:
    low, high = reach([], [1.0, 2.0, 3.0, 1e30])
    assert low == pytest.approx(1.0)
    assert 3.0 < high < 1e3
    assert np.isnan(reach([], [])).all()


def test_values_that_span_a_decade_are_on_a_logarithmic_scale_and_words_stand_apart() -> None:
    found = Abscissa.of(["1", "100", "10", "full", "10"])
    assert found.log
    assert found.at["10"] == pytest.approx(0.5)
    assert found.at["full"] > found.at["100"] == 1.0
    assert found.numbers == {"1", "10", "100"}
    assert not Abscissa.of(["2", "3"]).log
    assert not Abscissa.of(["mse", "huber"]).numbers
    assert spans_decades([1, 10])
    assert not spans_decades([-1, 10])


def test_means_at_numbers_are_joined_by_a_line_and_those_at_words_by_none() -> None:
    runs = pd.DataFrame({"place": ["1", "10", "none", "other"], "value": [1.0, 2.0, 3.0, 4.0]})
    abscissa = Abscissa.of(runs["place"])
    with panels(1) as (_, (axes,)):
        values = runs.assign(x=runs["place"].map(abscissa.at))
        _draw_means(axes, values, lambda cell: mean_interval(cell["value"].to_numpy(float)), 0, "arm", abscissa)
    lines = [line for line in axes.get_lines() if line.get_marker() == marker(0)]
    places = [np.asarray(line.get_xdata()).tolist() for line in lines]
    assert places == [[0.0, 1.0], [abscissa.at["none"], abscissa.at["other"]]]
    assert [line.get_linestyle() for line in lines] == ["-", "None"]


def test_every_arm_stands_once_in_the_legend_of_curves_whatever_its_name() -> None:
    found, logged = compared({"Elman's": [0.5, 0.6], "a<b": [0.7]}), Logged("", "", "", "", "", "FINISHED", {}, {}, {})
    history = norm_history(np.arange(1, 4), np.ones(3), np.ones(3))
    norms = dict.fromkeys(map(str, found.runs.index), Norms(history, 0.5, 1.0, 2.0))
    runs = found.runs.assign(logged=pd.Series([logged] * len(norms), found.runs.index, dtype=object))
    curves = explorer(replace(found, runs=runs), norms)
    assert curves is not None
    assert [curve["name"] for curve in curves.figure["data"] if curve["showlegend"]] == ["Elman&#x27;s", "a&lt;b"]


def test_a_line_joins_what_differs_in_the_parameter_alone_whatever_a_search_chose() -> None:
    found = compared({f"{model} k2={k2}": [0.5, 0.6] for model in ("elman", "lstm") for k2 in ("2", "5", "None")})
    runs = found.runs.assign(solved="", megabytes=1.0, counts=True, error="")
    runs["params.model.name"], runs["params.bptt.k2"] = zip(*runs["arm"].str.split(" k2="), strict=True)
    runs["params.bptt.update"] = runs["params.bptt.k2"].map({"2": "sequence", "5": "sequence"})  # full BPTT has none
    runs["params.optimizer.lr"] = [str(rate) for rate in range(6) for _ in range(2)]  # of every arm its own
    (of_k2,) = (varied for varied in VARIED if varied.key == "bptt.k2")
    assert ablation(replace(found, runs=runs), runs, of_k2) is None
    rates = {"lstm": "0.2"}
    apart = runs.assign(**{"params.model.options.rate": runs["params.model.name"].map(rates)})
    apart["params.model.name"] = "own"  # an option that half of the arms have is no part of bptt
    both = drawn(ablation(replace(found, runs=apart, tuned=frozenset({"optimizer.lr"})), apart, of_k2))
    assert both.data["series"].nunique() == 2
    picture = drawn(ablation(replace(found, runs=runs, tuned=frozenset({"optimizer.lr"})), runs, of_k2))
    assert picture.data.groupby("series")["place"].unique().map(sorted).to_dict() == {
        model: ["2", "5", "full"] for model in ("elman", "lstm")
    }


def test_where_the_parameter_decides_the_task_every_value_has_a_naive_guess_of_its_own() -> None:
    comparison = compared({"delay=10": [0.5], "delay=60": [0.1]})
    comparison.runs["baseline"] = comparison.runs["arm"].map({"delay=10": 0.6, "delay=60": 0.2})
    data = comparison.runs.assign(place=comparison.runs["arm"].str.removeprefix("delay="))
    assert math.isnan(comparison.baseline)
    assert not [name for name in references(comparison).levels if name == "guess without memory"]
    abscissa = Abscissa.of(data["place"])
    with panels(1) as (_, (axes,)):
        _draw_references(axes, comparison, data, abscissa)
    (line,) = axes.get_lines()
    assert np.array_equal(line.get_xdata(), pd.Series(["10", "60"]).map(abscissa.at))
    assert np.array_equal(line.get_ydata(), [0.6, 0.2])


def test_one_guess_for_all_is_one_line_and_differing_ones_at_one_value_are_none() -> None:
    comparison = compared({"delay=10": [0.5], "delay=60": [0.1]}, baseline=0.6)
    data = comparison.runs.assign(place=comparison.runs["arm"].str.removeprefix("delay="))
    with panels(2) as (_, (one, none)):
        _draw_references(one, comparison, data, Abscissa.of(data["place"]))
        comparison.runs["baseline"] = [0.6, 0.2]
        _draw_references(none, comparison, comparison.runs.assign(place="10"), Abscissa.of(data["place"]))
    assert [np.asarray(line.get_ydata()).tolist() for line in one.get_lines()] == [[0.6, 0.6]]
    assert not [line for line in none.get_lines() if np.isfinite(line.get_ydata()).any()]
