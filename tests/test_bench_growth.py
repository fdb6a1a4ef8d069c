"""The bench of growth: the slope is the exponent, and a file of the size asked for is measured."""

from pathlib import Path

import pytest

from study.bench.growth.__main__ import slope
from study.bench.growth.cell import ROWS
from study.bench.growth.data import write_text


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 0.5, 2.0])
def test_the_slope_of_a_power_is_its_exponent(exponent: float) -> None:
    sizes = [10, 300, 4_000]
    assert slope(sizes, [3.0 * size**exponent for size in sizes]) == pytest.approx(exponent, abs=1e-12)


def test_a_cost_of_nothing_and_a_single_size_have_no_slope() -> None:
    assert slope([1, 2], [0.0, 1.0]) is None
    assert slope([1], [1.0]) is None


def test_a_text_is_as_long_as_asked_for_and_is_read(tmp_path: Path) -> None:
    write_text(tmp_path / "text", 12_345)
    assert (tmp_path / "text").stat().st_size == 12_345
    assert ROWS["characters"].measure(tmp_path, 12_345)["CPU s"] > 0
