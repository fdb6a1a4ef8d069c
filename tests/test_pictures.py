"""Pictures show what was kept: the threshold, what is not finite, every probe time."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from study import pictures
from study.history import APPLIED, FIXED, TOTAL
from study.probes.flow import Flow
from study.probes.suite import Taken
from study.schema.learning import AnyClip, ClipNorm, NoClip


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
    return Flow(fallen[:, None, None, None].repeat(4, -1))


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
    lines = pictures.flow_over_lag(flows, 20)
    assert labels(lines) == ["update 0", "update 10", "update 100", "horizon of the task: 20"]
    columns = pictures.flow_over_updates(flows, 20)
    assert columns.axes[0].get_images()[0].get_size() == (31, 3)
    for figure in (lines, columns):
        figure.canvas.draw()


def test_a_flow_broken_by_nan_or_by_overflow_can_be_drawn() -> None:
    broken = flow(-0.1)
    broken.log_norms[3] = np.nan
    assert np.isnan(pictures.share(broken)[3])
    assert pictures.share(flow(-5.0))[30] == pytest.approx(pictures.FLOOR)
    pictures.flow_over_lag([(0, broken), (1, flow(30.0))], 20).canvas.draw()


def test_a_run_has_the_pictures_its_measures_allow() -> None:
    def of(rows: np.ndarray, clip: AnyClip, *updates: int) -> set[str]:
        taken = [Taken(update, {"flow": flow(-0.1)}) for update in updates]
        return set(pictures.of(rows, clip, taken, 20))

    rows, clip = history([1.0, 2.0], 1.5), ClipNorm(name="norm", threshold=1.5)
    assert of(rows, clip, 0, 10) == {"gradient_norms", "flow_over_lag", "flow_over_updates"}
    assert of(rows, NoClip(name="none"), 10) == {"gradient_norms", "flow_over_lag"}
    assert of(rows[:0], clip) == set()
