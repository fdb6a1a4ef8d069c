"""The classical cells by their equations, written out in float64; a new cell needs nothing here."""

from typing import Any

import pytest
import torch
from torch import Tensor

from study.models import State
from study.models.cells.elman import Elman
from study.models.cells.gru import GRU
from study.models.cells.lstm import LSTM

pytestmark = pytest.mark.usefixtures("double_precision")
TIME, WIDTH, HIDDEN = 7, 3, 6
Weights = list[Tensor]
CELLS: dict[str, Any] = {"tanh": Elman, "relu": Elman, "lstm": LSTM, "gru": GRU}
every_cell = pytest.mark.parametrize("name", CELLS)


def core(name: str, layers: int) -> Any:
    options = {"activation": name} if CELLS[name] is Elman else {}
    return CELLS[name](4, HIDDEN, layers, **options)


def tanh(x: Tensor, state: State, w: Weights) -> State:
    return ((x @ w[0].T + w[2] + state[0] @ w[1].T + w[3]).tanh(),)


def relu(x: Tensor, state: State, w: Weights) -> State:
    return ((x @ w[0].T + w[2] + state[0] @ w[1].T + w[3]).clamp(min=0),)


def lstm(x: Tensor, state: State, w: Weights) -> State:
    i, f, g, o = (x @ w[0].T + w[2] + state[0] @ w[1].T + w[3]).chunk(4, -1)
    c = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru(x: Tensor, state: State, w: Weights) -> State:
    entering, fed_back = (x @ w[0].T + w[2]).chunk(3, -1), (state[0] @ w[1].T + w[3]).chunk(3, -1)
    r, z = ((a + b).sigmoid() for a, b in zip(entering[:2], fed_back[:2], strict=True))
    n = (entering[2] + r * fed_back[2]).tanh()
    return ((1 - z) * n + z * state[0],)


EQUATIONS: dict[str, Any] = {"tanh": tanh, "relu": relu, "lstm": lstm, "gru": gru}


@pytest.mark.parametrize("layers", [1, 2])
@every_cell
def test_every_cell_follows_its_equations(name: str, layers: int) -> None:
    cell, inputs = core(name, layers), torch.randn(TIME, WIDTH, 4)
    start = tuple(torch.randn_like(part) for part in cell(inputs)[1])
    hidden = inputs
    for layer in range(layers):
        at, steps = tuple(part[layer] for part in start), []
        for x in hidden:
            at = EQUATIONS[name](x, at, cell.all_weights[layer])
            steps.append(at[0])
        hidden = torch.stack(steps)
    outputs, state = cell(inputs, start)
    torch.testing.assert_close(outputs, hidden)
    for part, expected in zip(state, at, strict=True):
        torch.testing.assert_close(part[-1], expected)


@every_cell
def test_activations_are_those_the_step_is_made_of(name: str) -> None:
    cell, inputs = core(name, 2), torch.randn(4, HIDDEN)
    state = tuple(torch.randn(4, HIDDEN) for _ in cell.state_parts)
    units = cell.activations(1, inputs, state)
    made = {
        "tanh": lambda: units.tanh["hidden"],
        "relu": lambda: units.relu["hidden"],
        "lstm": lambda: units.gates["output"] * units.tanh["cell"],
        "gru": lambda: (1 - units.gates["update"]) * units.tanh["candidate"] + units.gates["update"] * state[0],
    }[name]()
    torch.testing.assert_close(made, cell.step(1, inputs, state)[0])


@pytest.mark.parametrize("bias", [-2.0, 0.0, 1.0, 5.0])
def test_the_forget_gate_starts_as_far_open_as_its_bias_says(bias: float) -> None:
    network = LSTM(4, HIDDEN, 2, forget_bias=bias)
    gate = slice(HIDDEN, 2 * HIDDEN)
    for layer in range(2):
        total = getattr(network, f"bias_ih_l{layer}") + getattr(network, f"bias_hh_l{layer}")
        torch.testing.assert_close(total[gate], torch.full((HIDDEN,), bias))
        assert total[: gate.start].any()
        assert total[gate.stop :].any()
