"""The table of what cells cost: operations are counted right, and every registered cell has a row."""

import pytest
import torch

from study.bench.cells import operations, stepwise, table
from study.models import core_class
from study.schema.model import MODELS

FEATURES, HIDDEN = 6, 5


@pytest.mark.parametrize(("name", "matrices"), [("elman", 1), ("gru", 3), ("lstm", 4)])
def test_products_of_a_step_are_two_operations_for_every_weight(name: str, matrices: int) -> None:
    found = operations(core_class(name)(FEATURES, HIDDEN), FEATURES)
    assert found.products == 2 * matrices * HIDDEN * (FEATURES + HIDDEN)
    assert found.pointwise >= 2 * matrices * HIDDEN - HIDDEN  # every sum is activated, and two of them are added


def test_work_on_parameters_alone_is_no_work_of_a_step() -> None:
    found = operations(core_class("lru")(FEATURES, HIDDEN), FEATURES)
    assert found.products == 2 * (2 * HIDDEN * FEATURES + 2 * HIDDEN * HIDDEN + HIDDEN * FEATURES)  # B, C, D
    assert found.pointwise == 3 * HIDDEN  # lambda x + B u, complex; C x + D u


def test_a_layer_made_to_loop_is_the_same_layer() -> None:
    core, inputs = core_class("mingru")(FEATURES, HIDDEN), torch.randn(4, 2, FEATURES)
    torch.testing.assert_close(stepwise(core)(inputs), core(inputs))


def test_every_registered_cell_has_a_row() -> None:
    _, _, *rows = table(list(MODELS), HIDDEN, 1, [(2, 3)])
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == list(MODELS)
    assert all(float(row.split(" | ")[5]) > 0 for row in rows)
