"""Figures show what was measured: every update, the thresholds, what is not finite; a run's and the report's alike."""

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from study.analysis.diagnosis.thresholds import EXPLODED, VANISHED
from study.columns import APPLIED, FIXED, TOTAL
from study.figures import flow, norms, style, truncation
from study.figures.style import Curve, panels
from study.probes.decay import FROM

LAGS = np.arange(31.0)


def history(values: Sequence[float], threshold: float) -> np.ndarray:
    """Rows of a history with these norms, clipped at a threshold."""
    rows = np.ones((len(values), len(FIXED)))
    rows[:, TOTAL] = values
    rows[:, APPLIED] = np.minimum(values, threshold)
    return rows


def norm_axes(values: Sequence[float], threshold: float | None = None) -> Axes:
    rows = history(values, np.inf if threshold is None else threshold)
    found = norms.norm_history(np.arange(1, len(values) + 1), rows[:, TOTAL], rows[:, APPLIED])
    with panels(1) as (figure, (axes,)):
        norms.draw_norms(axes, {"": found}, threshold)
    figure.canvas.draw()
    return axes


def flow_axes(profiles: Sequence[tuple[int, np.ndarray]], exponent: float = np.nan, horizon: int = 20) -> Axes:
    with panels(1) as (figure, (axes,)):
        flow.draw_flow_by_lag(axes, flow.flow_curves(profiles, exponent, FROM), horizon, (VANISHED, EXPLODED))
    figure.canvas.draw()
    return axes


def labels(axes: Axes) -> list[str]:
    """What a legend of the panel says, each on one line."""
    return [" ".join(label.split()) for label in axes.get_legend_handles_labels()[1]]


def drawn(axes: Axes, label: str) -> np.ndarray:
    """The ordinates of the line with this label."""
    (line,) = [line for line in axes.get_lines() if line.get_label() == label]
    return np.asarray(line.get_ydata(), float)


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_norms_are_drawn_before_and_after_clipping_with_the_threshold_and_what_is_not_finite() -> None:
    axes = norm_axes([1.0, 2.0, np.nan, np.inf, 3.0], 1.5)
    assert axes.get_yscale() == "log"
    assert labels(axes) == ["before clipping", "as applied", "not finite", "clip threshold 1.5"]
    (crosses,) = [line for line in axes.get_lines() if line.get_label() == "not finite"]
    np.testing.assert_array_equal(crosses.get_xdata(), [3, 4])


def test_a_limit_that_changes_from_update_to_update_is_drawn_as_a_line_with_gaps_where_there_is_none() -> None:
    values, limits = np.array([3.0, 1.0, 4.0]), np.array([np.nan, 2.0, 1.5])
    found = norms.norm_history(np.arange(1, 4), values, np.fmin(values, limits), limits)
    with panels(1) as (figure, (axes,)):
        norms.draw_norms(axes, {"": found}, None)
    figure.canvas.draw()
    assert labels(axes) == ["before clipping", "as applied", "clip limit"]
    np.testing.assert_array_equal(drawn(axes, "clip limit"), limits)


def test_without_clipping_there_is_one_line() -> None:
    assert labels(norm_axes([1.0, 0.0, 3.0])) == ["before clipping"]


def test_no_spike_is_lost_in_a_bucket() -> None:
    values = np.ones(10_000)
    values[1234], values[5678] = 1e6, 1e-6
    last, (low, middle, high) = norms.bucket(np.arange(1, 10_001), values)
    assert (len(last), last[-1]) == (norms.BUCKETS, 10_000)
    assert (low.min(), high.max(), set(middle)) == (1e-6, 1e6, {1.0})


def test_a_bucket_without_a_finite_positive_value_is_a_gap() -> None:
    _, envelope = norms.bucket(np.arange(1, 4), np.array([np.nan, 0.0, 2.0]))
    np.testing.assert_array_equal(envelope, np.tile([np.nan, np.nan, 2.0], (3, 1)))


def test_every_update_has_a_curve_and_the_last_is_the_darkest() -> None:
    axes = flow_axes([(update, rate * LAGS) for update, rate in ((0, -0.1), (10, -0.5), (100, -0.9))])
    assert labels(axes) == ["update 0", "update 10", "update 100", "horizon of the task: 20 steps"]
    shades = [np.mean(line.get_color()[:3]) for line in axes.get_lines()[:3]]  # type: ignore[arg-type]
    assert shades == sorted(shades, reverse=True)
    np.testing.assert_allclose(drawn(axes, "update 0"), np.exp(-0.1 * LAGS))


def test_at_most_so_many_updates_are_named_the_first_and_the_last_among_them() -> None:
    curves = style.curves_by_update([(update, [0], [0]) for update in range(60)])
    named = [curve.label for curve in curves if curve.label]
    assert len(named) == style.NAMED
    assert (named[0], named[-1]) == ("update 0", "update 59")


def test_the_shaded_shares_are_those_that_the_diagnosis_calls_vanished_and_exploded() -> None:
    axes = flow_axes([(0, 0.5 * LAGS)])
    vanished, exploded = (patch.get_extents().transformed(axes.transData.inverted()) for patch in axes.patches)
    assert vanished.y1 == pytest.approx(VANISHED)
    assert exploded.y0 == pytest.approx(EXPLODED)


def test_a_horizon_beyond_the_measured_lags_is_said_to_be() -> None:
    axes = flow_axes([(0, -0.1 * LAGS)], horizon=200)
    assert labels(axes)[-1] == "horizon of the task: 200 steps (further than measured)"
    assert axes.get_xlim()[1] < 200


def test_shares_of_a_broken_flow_are_gaps_where_nan_and_at_the_edge_beyond_what_is_drawn() -> None:
    np.testing.assert_allclose(flow.shares([np.nan, -np.inf, np.inf, 0]), [np.nan, flow.FLOOR, flow.CEILING, 1])
    flow_axes([(0, np.where(LAGS == 3, np.nan, -0.1 * LAGS)), (1, 30.0 * LAGS)])


def test_the_slope_that_the_largest_exponent_predicts_is_drawn_beside_the_last_flow() -> None:
    axes = flow_axes([(0, -0.3 * LAGS), (5, -0.1 * LAGS)], exponent=-0.1)
    predicted = drawn(axes, "Lyapunov exponent: -0.100")
    np.testing.assert_allclose(predicted, drawn(axes, "update 5")[15:])


def test_a_flow_map_has_a_column_for_every_update_and_says_where_the_horizon_is() -> None:
    log_shares = np.stack([-0.1 * LAGS, -0.5 * LAGS, np.where(LAGS > 0, -np.inf, 0.0)])
    with panels(1) as (figure, (axes,)):
        image = flow.draw_flow_map(axes, log_shares, [0, 10, 100], 20)
        flow.add_colour_bar(image, [axes])
    figure.canvas.draw()
    assert image.get_size() == (31, 3)
    assert texts(axes) == [" horizon"]


def test_a_bound_far_above_the_errors_does_not_flatten_them() -> None:
    curves = [Curve([1, 5, 20], [0.9, 0.5, 0.0]), Curve([1, 5, 20], [1e6, 1e3, 0.0], "bound", truncation.BOUND)]
    with panels(1) as (_, (axes,)):
        truncation.draw_truncation_error(axes, curves)
    assert axes.get_ylim()[1] == pytest.approx(1.1)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "5", "20"]


def test_lengths_that_lie_close_together_share_a_tick() -> None:
    lengths = [1, 10, 20, 50, 51, 52, 55, 100]
    with panels(1) as (_, (axes,)):
        truncation.draw_truncation_cosine(axes, [Curve(lengths, [-1.0] * 3 + [1.0] * 5)])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "10", "20", "50", "100"]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7])
def test_panels_of_one_ordinate_are_labelled_on_the_left_only(count: int) -> None:
    with panels(count) as (figure, grid):
        for axes in grid:
            axes.set_ylabel("share")
    figure.canvas.draw()
    lefts = [axes for axes in grid if axes.get_position().x0 < 0.2]
    assert {axes for axes in grid if axes.get_ylabel()} == set(lefts)


def test_a_legend_of_several_panels_names_each_line_once() -> None:
    with panels(3) as (figure, grid):
        for place, axes in enumerate(grid):
            style.draw_curves(axes, [Curve([0, 1], [0, 1], "in all"), Curve([0, 1], [0, 1], f"in {place}")])
        style.legend_below(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["in all", "in 0", "in 1", "in 2"]


@pytest.mark.parametrize(
    ("scale", "values", "shown"),
    [
        ("log", [1e-3, 1e3], ["10⁻³", "10⁰", "10³"]),
        ("log", [2, 6], ["2·10⁰", "6·10⁰"]),
        ("symlog", [0, 100], ["0", "10⁰", "10²"]),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_powers_and_no_source_of_a_formula(
    scale: str, values: list[float], shown: list[str]
) -> None:
    with panels(1) as (figure, (axes,)):
        axes.plot(values, values)
        axes.set(xscale=scale, yscale=scale)
    figure.canvas.draw()
    for axis in (axes.xaxis, axes.yaxis):
        written = {label.get_text() for label in axis.get_ticklabels(which="both")}
        assert set(shown) <= written
        assert not {text for text in written if "$" in text}


def test_ticks_of_a_logarithmic_scale_of_colours_are_too() -> None:
    with panels(1) as (figure, (axes,)):
        mesh = axes.pcolormesh([[1e-3, 1e3]], norm=LogNorm(1e-3, 1e3))
        bar = figure.colorbar(mesh, ax=axes, location="bottom")
    figure.canvas.draw()
    written = {label.get_text() for label in bar.ax.get_xticklabels()}
    assert {"10⁻³", "10⁰", "10³"} <= written
    assert not {text for text in written if "$" in text}


def test_a_figure_is_saved_in_the_style_it_was_drawn_in(tmp_path_factory: pytest.TempPathFactory) -> None:
    with panels(1) as (figure, (axes,)):
        axes.plot([0, 1], [0, 1])
    figure.savefig(tmp_path_factory.mktemp("figures") / "figure.png")
    assert {tick.get_color() for tick in axes.get_xticklabels()} == {style.INK}
