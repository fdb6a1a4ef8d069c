"""What an update keeps of memory grows with the window by what a step keeps, and is not what does not grow."""

import gc
from weakref import ref

import pytest

from study.learning.losses.mse import MSE
from study.learning.memory import kept_for_backward
from study.schema.model import MODELS
from tests.networks import batch, build

WIDTH, UNITS, DOUBLE = 8, 5, 8
LOSS = MSE()


@pytest.mark.parametrize("name", MODELS)
def test_memory_is_proportional_to_the_window_but_for_a_constant(name: str) -> None:
    kept = {k2: kept_for_backward(build(name), LOSS, batch(80, WIDTH, 3), None, k2) for k2 in (10, 20, 40, None)}
    assert kept[40] - kept[20] == 2 * (kept[20] - kept[10])
    assert kept[None] - kept[40] == 2 * (kept[40] - kept[20])
    assert kept[20] - kept[10] >= 10 * WIDTH * UNITS * DOUBLE  # the states at least


def test_windows_that_overlap_keep_what_k2_says_not_k1() -> None:
    of = lambda k1, k2: kept_for_backward(build("elman"), LOSS, batch(80, WIDTH, 3), k1, k2)  # noqa: E731
    assert of(5, 20) > of(5, 10) > of(5, 5)


def test_neither_parameters_nor_the_batch_count() -> None:
    network = build("elman", hidden_size=200)
    recurrent = next(p for name, p in network.named_parameters() if "weight_hh" in name)
    assert kept_for_backward(network, LOSS, batch(80, 1, 3), None, 1) < recurrent.nbytes


def test_what_was_measured_is_freed() -> None:
    network = build("elman")
    alive = ref(next(network.parameters()))
    kept_for_backward(network, LOSS, batch(8, WIDTH, 3), None, None)
    del network
    gc.collect()
    assert alive() is None
