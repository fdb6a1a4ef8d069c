"""What the pictures of docs/concepts.md draw: closed forms where there is one."""

import re

import numpy as np
import pytest
from matplotlib.axes import Axes

from docs import draw
from docs.draw import DECAYS, FOLDER, LAGS, LENGTHS, PICTURES, RADII, TIME


def drawn(axes: Axes, label: str) -> np.ndarray:
    """The ordinates of the line with this label."""
    (line,) = [line for line in axes.get_lines() if line.get_label() == label]
    return np.asarray(line.get_ydata(), float)


def test_the_gradient_of_a_linear_network_is_drawn_as_rho_to_the_k() -> None:
    (axes,) = draw.linear_flow().axes
    for rho in RADII:
        np.testing.assert_allclose(drawn(axes, f"rho = {rho:g}"), rho ** np.arange(LAGS + 1), rtol=1e-9)


def test_the_share_that_truncation_cuts_off_is_drawn_as_the_rest_of_a_geometric_sum() -> None:
    (axes,) = draw.truncation_error().axes
    for rho in DECAYS:
        left = (rho ** np.array(LENGTHS) - rho**TIME) / (1 - rho**TIME)
        np.testing.assert_allclose(drawn(axes, f"rho = {rho:g}"), left, rtol=1e-9, atol=1e-12)


def test_a_wider_forget_gate_keeps_more_of_the_gradient_as_the_page_says() -> None:
    (axes,) = draw.flow_at_the_start().axes
    closed, half, open_ = (drawn(axes, f"LSTM, forget bias {bias}")[-1] for bias in (0, 1, 3))
    assert closed < 1e-8
    assert 1e-3 < half < 1e-2
    assert open_ > 1


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_the_exponent_of_a_tanh_network_has_the_sign_of_its_flow(gain: float) -> None:
    (axes,) = [axes for axes in draw.exponents().axes if axes.get_title(loc="left").startswith(f"gain {gain:g}:")]
    measured, predicted = (np.log(drawn(axes, label)[10]) for label in ("measured", "predicted"))
    assert predicted == pytest.approx(measured, rel=0.25)


def test_every_picture_is_drawn_by_the_script_and_shown_on_a_page() -> None:
    pages = [page.read_text() for page in FOLDER.parent.glob("*.md")]
    shown = {name for text in pages for name in re.findall(r"pictures/(\w+)\.svg", text)}
    assert {file.stem for file in FOLDER.iterdir()} == set(PICTURES) == shown
