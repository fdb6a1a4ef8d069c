"""The sLSTM against its paper's equations, as they stand and in their stabilised form."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.models.cells.slstm import SLSTM

pytestmark = pytest.mark.usefixtures("double_precision")
TIME, WIDTH, FEATURES, HIDDEN = 9, 3, 4, 6
Values = dict[str, Tensor]


def values(cell: nn.Module) -> Values:
    return {name: p.detach() for name, p in cell.named_parameters()}


def gates(cell: SLSTM, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The paper's exponents of i and f, z and o."""
    v = values(cell)
    a, b, z, o = (x @ v["W.weight"].T + v["W.bias"] + h @ v["R"].T).split(HIDDEN, -1)
    log_f = -torch.logaddexp(torch.zeros(()), -b) if cell.forget_gate == "sigmoid" else b
    return a, log_f, torch.tanh(z), torch.sigmoid(o)


def unstabilised(cell: SLSTM, inputs: Tensor) -> Tensor:
    """Equations 8 to 14 of the paper as they stand."""
    h = c = n = torch.zeros(WIDTH, HIDDEN)
    outputs = []
    for x in inputs:
        a, log_f, z, o = gates(cell, x, h)
        c, n = log_f.exp() * c + a.exp() * z, log_f.exp() * n + a.exp()
        h = o * c / n
        outputs.append(h)
    return torch.stack(outputs)


def stabilised(cell: SLSTM, inputs: Tensor) -> Tensor:
    """Equations 15 to 17, m starting at the first exponent, as in the released code."""
    h = c = n = torch.zeros(WIDTH, HIDDEN)
    m = torch.full_like(h, -math.inf)
    outputs = []
    for x in inputs:
        a, log_f, z, o = gates(cell, x, h)
        latest = torch.maximum(log_f + m, a)
        i, f = torch.exp(a - latest), torch.exp(log_f + m - latest)
        c, n, m = f * c + i * z, f * n + i, latest
        h = o * c / n
        outputs.append(h)
    return torch.stack(outputs)


every_forget_gate = pytest.mark.parametrize("gate", ["sigmoid", "exponential"])


@every_forget_gate
def test_slstm_is_the_papers_formula_where_that_can_be_computed_outputs_and_gradients(gate: Any) -> None:
    cell, inputs = SLSTM(FEATURES, HIDDEN, forget_gate=gate), 3 * torch.randn(30, WIDTH, FEATURES).requires_grad_()
    outputs, _ = cell.unroll(cell.project(inputs), cell.initial(inputs[0]))
    expected = unstabilised(cell, inputs)
    torch.testing.assert_close(outputs, expected)
    pair = [torch.autograd.grad(each[-1].square().sum(), inputs)[0] for each in (outputs, expected)]
    torch.testing.assert_close(*pair)


@every_forget_gate
def test_slstm_with_huge_gates_is_the_papers_stabilised_form_and_has_finite_gradients(gate: Any) -> None:
    cell, inputs = SLSTM(FEATURES, HIDDEN, forget_gate=gate), 1e4 * torch.randn(30, WIDTH, FEATURES)
    outputs, _ = cell.unroll(cell.project(inputs), cell.initial(inputs[0]))
    assert not unstabilised(cell, inputs).isfinite().all()
    torch.testing.assert_close(outputs, stabilised(cell, inputs))
    small, entering = cell.float(), inputs.float().requires_grad_()
    outputs, state = small.unroll(small.project(entering), small.initial(entering[0]))
    slopes = torch.autograd.grad(outputs.sum(), [entering, *small.parameters()])
    assert all(each.isfinite().all() for each in (outputs, *state, *slopes))
