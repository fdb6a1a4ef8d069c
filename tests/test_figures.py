"""Pictures show what was kept: the threshold, what is not finite, every probe time."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from study.analysis import figures as pictures
from study.probes.backpropagated import Backpropagated
from study.probes.flow import Flow
from study.probes.lyapunov import Lyapunov
from study.probes.result import ProbeResult
from study.probes.suite import Taken
from study.probes.truncation import Truncation
from study.training.history import APPLIED, FIXED, TOTAL


def history(norms: list[float], threshold: float) -> np.ndarray:
    rows = np.ones((len(norms), len(FIXED)))
    rows[:, TOTAL] = norms
    rows[:, APPLIED] = np.minimum(norms, threshold)
    return rows


def labels(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def flow(rate: float) -> Flow:
    lags = np.arange(31.0)
    fallen = np.where(lags > 0, rate * np.maximum(lags, 1), 0.0)
    return Flow(fallen[:, None, None, None].repeat(4, -1), ["h"], "h")


def test_norms_are_drawn_before_and_after_clipping_with_the_threshold_and_what_is_not_finite() -> None:
    figure = pictures.gradient_norms(history([1.0, 2.0, np.nan, np.inf, 3.0], 1.5), 1.5)
    assert figure.axes[0].get_yscale() == "log"
    assert labels(figure) == ["before clipping", "as applied", "threshold 1.5", "not finite: 2"]
    marks = figure.axes[0].get_lines()[-1]
    np.testing.assert_array_equal(marks.get_xdata(), [3, 4])
    figure.canvas.draw()


def test_without_clipping_there_is_one_line() -> None:
    assert labels(pictures.gradient_norms(history([1.0, 0.0, 3.0], np.inf), None)) == ["before clipping"]


def test_every_probe_time_has_a_line_and_a_column() -> None:
    flows = [(0, flow(-0.1)), (10, flow(-0.5)), (100, flow(-np.inf))]
    lines = pictures.flow_over_lag(flows, [], 20)
    assert labels(lines)[:3] == ["update 0", "update 10", "update 100"]
    assert labels(lines)[-1] == "horizon of the task: 20"
    columns = pictures.flow_over_updates(flows, 20)
    assert columns.axes[0].get_images()[0].get_size() == (31, 3)
    for figure in (lines, columns):
        figure.canvas.draw()


def test_a_flow_broken_by_nan_or_by_overflow_can_be_drawn() -> None:
    broken = flow(-0.1)
    broken.log_norms[3] = np.nan
    assert np.isnan(pictures.share(broken)[3])
    assert pictures.share(flow(-5.0))[30] == pytest.approx(pictures.FLOOR)
    pictures.flow_over_lag([(0, broken), (1, flow(30.0))], [], 20).canvas.draw()


def test_a_run_has_the_pictures_its_measures_allow() -> None:
    def of(rows: np.ndarray, threshold: float | None, *updates: int) -> set[str]:
        taken = [Taken(update, {"flow": flow(-0.1)}) for update in updates]
        return set(pictures.figures(rows, threshold, taken, 20))

    rows = history([1.0, 2.0], 1.5)
    assert of(rows, 1.5, 0, 10) == {"gradient_norms", "flow_over_lag", "flow_over_updates"}
    assert of(rows, None, 10) == {"gradient_norms", "flow_over_lag"}
    assert of(rows[:0], 1.5) == set()


def measures(value: float) -> dict[str, ProbeResult]:
    """One of every kind that has a picture, of a finite `value` everywhere or of one that is not."""
    bias = np.full(3, value)
    return {
        "flow": Flow(np.full((31, 1, 1, 4), value), ["h"], "h"),
        "lyapunov": Lyapunov(np.full((4, 3), value), 20, True),
        "backpropagated": Backpropagated(np.full((30, 2, 1, 4), value)),
        "truncation": Truncation([1, 5, 20], bias, bias, 2 * bias, bias[:, None], bias[:, None]),
    }


@pytest.mark.parametrize("value", [0.1, -np.inf, np.inf, np.nan])
@pytest.mark.parametrize("updates", [[7], [0, 1], range(60)])
def test_every_measure_has_its_picture_also_of_a_broken_run(updates: list[int], value: float) -> None:
    rows = history([1.0 if np.isfinite(value) else np.nan], 1.5)
    taken = [Taken(update, measures(value)) for update in updates]
    figures = pictures.figures(rows, 1.5, taken, 200)
    over_training = {"flow_over_updates", "decay_over_updates"} if len(updates) > 1 else set()
    profiles = {"flow_over_lag", "lyapunov_spectrum", "gradient_by_time", "truncation_bias"}
    assert set(figures) == {"gradient_norms"} | profiles | over_training
    for figure in figures.values():
        figure.canvas.draw()
    for name in profiles:
        assert len(figures[name].axes[0].get_lines()) >= len(updates)
        assert sum("update" in label for label in labels(figures[name])) <= pictures.NAMED
    if not np.isfinite(value):
        assert "nothing finite to draw" in [text.get_text() for text in figures["gradient_norms"].axes[0].texts]


def test_the_slope_that_the_largest_exponent_predicts_is_drawn_beside_the_last_flow() -> None:
    spectrum = Lyapunov(np.full((4, 1), -0.1), 20, True)
    axes = pictures.flow_over_lag([(5, flow(-0.1))], [(5, spectrum)], 20).axes[0]
    measured, predicted = axes.get_lines()[:2]
    np.testing.assert_allclose(np.asarray(predicted.get_ydata(), float), np.asarray(measured.get_ydata(), float)[15:])
