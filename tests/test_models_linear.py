"""Cells that are linear in their state: by the equations of their papers, in plain loops; and the scan they share."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from study.errors import ConfigError
from study.models import Cell, State, core_class
from study.models.cells.deltanet import DeltaNet
from study.models.cells.lru import LRU
from study.models.cells.mingru import MinGRU
from study.models.cells.minlstm import MinLSTM
from study.models.cells.selective import Selective
from study.models.scan import Diagonal, scan
from study.schema import validate
from study.schema.model import MODELS
from tests.composed import composed

pytestmark = pytest.mark.usefixtures("double_precision")
TIME, WIDTH, FEATURES, HIDDEN = 6, 3, 4, 5
Weights = dict[str, Tensor]
DIAGONAL = [name for name in MODELS if issubclass(MODELS.implementation(name), Diagonal)]
TYPES = {"float64": (torch.float64, 1e-10), "float32": (torch.float32, 1e-5), "complex128": (torch.complex128, 1e-10)}


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def g(x: float) -> float:
    return x + 0.5 if x >= 0 else sigmoid(x)


def lru(w: Weights, u: Tensor, state: State) -> State:
    """One sequence by complex numbers; B and C are kept as real and imaginary part, end to end."""
    n, (real, imaginary) = HIDDEN, state[1].chunk(2)
    eigenvalues = (-w["nu"].exp() + 1j * w["theta"].exp()).exp()
    entering = torch.complex(w["B"][:n], w["B"][n:]) @ u.to(torch.complex128)
    x = eigenvalues * torch.complex(real, imaginary) + w["gamma"].exp() * entering
    h = (torch.complex(w["C"][:, :n], -w["C"][:, n:]) @ x).real + w["D"] @ u
    return h, torch.cat([x.real, x.imag])


def mingru(w: Weights, x: Tensor, state: State) -> State:
    gate, candidate = (w["W.weight"] @ x + w["W.bias"]).tolist()[:HIDDEN], (w["W.weight"] @ x + w["W.bias"])[HIDDEN:]
    z = [sigmoid(k) for k in gate]
    return (torch.tensor([(1 - a) * h + a * g(c) for a, h, c in zip(z, state[0], candidate.tolist(), strict=True)]),)


def minlstm(w: Weights, x: Tensor, state: State) -> State:
    f, i, c = (part.tolist() for part in (w["W.weight"] @ x + w["W.bias"]).split(HIDDEN))
    after = []
    for j, h in enumerate(state[0].tolist()):
        forget, enter = sigmoid(f[j]), sigmoid(i[j])
        after.append(forget / (forget + enter) * h + enter / (forget + enter) * g(c[j]))
    return (torch.tensor(after),)


def selective(w: Weights, u: Tensor, state: State) -> State:
    size = len(w["log_A"][0])
    v, d, b, c = (w["W.weight"] @ u + w["W.bias"]).split((HIDDEN, HIDDEN, size, size))
    memory, h = torch.zeros(HIDDEN, size), torch.zeros(HIDDEN)
    for i in range(HIDDEN):
        delta = math.log(1 + math.exp(d[i]))
        for n in range(size):
            old = state[1].view(HIDDEN, size)[i, n]
            memory[i, n] = math.exp(-delta * math.exp(w["log_A"][i, n])) * old + delta * b[n] * v[i]
            h[i] += c[n] * memory[i, n]
        h[i] += w["D"][i] * v[i]
    return h, memory.flatten()


def deltanet(w: Weights, x: Tensor, state: State, reach: float = 1.0) -> State:
    size = (len(w["W.weight"]) - HIDDEN) // 2
    v, k, q = (w["W.weight"] @ x + w["W.bias"]).split((HIDDEN, size, size))
    k, q = k / k.norm(), q / q.norm()
    beta = reach * sigmoid(float(w["beta.weight"][0] @ x + w["beta.bias"]))
    memory = state[1].view(HIDDEN, size) @ (torch.eye(size) - beta * torch.outer(k, k)) + beta * torch.outer(v, k)
    return memory @ q, memory.flatten()


def negative(w: Weights, x: Tensor, state: State) -> State:
    return deltanet(w, x, state, 2.0)


PAPERS: dict[str, tuple[type[Cell], dict[str, Any], Callable[[Weights, Tensor, State], State]]] = {
    "lru": (LRU, {}, lru),
    "mingru": (MinGRU, {}, mingru),
    "minlstm": (MinLSTM, {}, minlstm),
    "selective": (Selective, {"state_size": 3}, selective),
    "deltanet": (DeltaNet, {"key_size": 3}, deltanet),
    "deltanet, negative": (DeltaNet, {"key_size": 3, "negative": True}, negative),
}


def some_state(cell: Cell) -> State:
    return tuple(torch.randn(WIDTH, width) for width in cell.widths)


@pytest.mark.parametrize("name", PAPERS)
def test_a_cell_follows_the_equations_of_its_paper(name: str) -> None:
    kind, options, step = PAPERS[name]
    cell = kind(FEATURES, HIDDEN, **options)
    inputs, start = torch.randn(TIME, WIDTH, FEATURES), some_state(cell)
    weights = {key: p.detach() for key, p in cell.named_parameters()}
    outputs, after = cell.unroll(cell.project(inputs), start)
    for i in range(WIDTH):
        state = tuple(part[i] for part in start)
        for t in range(TIME):
            state = step(weights, inputs[t, i], state)
            torch.testing.assert_close(outputs[t, i].detach(), state[0])
        torch.testing.assert_close(tuple(part[i].detach() for part in after), state)


def test_an_lru_starts_on_its_ring_and_passes_on_as_much_as_comes_in() -> None:
    cell = LRU(3, 1000, r_min=0.5, r_max=0.9, max_phase=1.0)
    moduli, angles = (-cell.nu.exp()).exp().detach(), cell.theta.exp().detach()
    assert moduli.min() >= 0.5
    assert moduli.max() <= 0.9
    assert moduli.square().mean() == pytest.approx((0.25 + 0.81) / 2, abs=0.02)  # uniform in area
    assert angles.max() <= 1.0
    assert angles.mean() == pytest.approx(0.5, abs=0.04)
    torch.testing.assert_close(cell.gamma.exp().detach(), (1 - moduli.square()).sqrt())


def test_a_selective_cell_starts_with_the_time_scales_that_are_asked_for() -> None:
    cell = Selective(3, 4000, dt_min=0.01, dt_max=0.1)
    deltas = torch.nn.functional.softplus(cell.W.bias[4000:8000].detach())
    assert deltas.min() >= 0.01 * (1 - 1e-9)
    assert deltas.max() <= 0.1 * (1 + 1e-9)
    assert deltas.log().mean() == pytest.approx(math.log(0.01 * 0.1) / 2, abs=0.05)
    torch.testing.assert_close(cell.log_A.exp()[7].detach(), torch.arange(1.0, 9.0))


def test_a_key_written_in_full_holds_its_new_value_and_other_keys_keep_theirs() -> None:
    cell = DeltaNet(FEATURES, HIDDEN, key_size=4)
    (held,) = torch.randn(1, HIDDEN, 4)
    v, k, q = torch.randn(HIDDEN), torch.eye(4)[1], torch.eye(4)[2]
    for key, expected in ((k, v), (q, held[:, 2])):
        (h,), _ = cell.step(torch.cat([v, k, key, torch.ones(1)])[None], (torch.zeros(1, HIDDEN), held.flatten()[None]))
        torch.testing.assert_close(h, expected)


@pytest.mark.parametrize(("negative", "expected"), [(False, 0.0), (True, -1.0)])
def test_only_with_negative_eigenvalues_can_a_write_flip_the_sign_of_what_is_there(
    negative: bool, expected: float
) -> None:
    cell = DeltaNet(FEATURES, HIDDEN, 4, negative)
    held, key = torch.randn(1, HIDDEN, 4), torch.eye(4)[:1]
    projected = torch.cat([torch.zeros(1, HIDDEN), key, key, torch.ones(1, 1)], -1)
    h, _ = cell.step(projected, (torch.zeros(1, HIDDEN), held.flatten(1)))
    torch.testing.assert_close(h, expected * held[:, :, 0])


def loop(a: Tensor, b: Tensor, start: Tensor) -> Tensor:
    states = [start]
    for factor, added in zip(a, b, strict=True):
        states.append(factor * states[-1] + added)
    return torch.stack(states[1:])


@pytest.mark.parametrize("gates", ["any", "0 and 1", "the same at every step"])
@pytest.mark.parametrize("kind", TYPES)
def test_a_scan_is_the_loop_in_values_and_gradients(kind: str, gates: str) -> None:
    dtype, tolerance = TYPES[kind]
    a, b = torch.rand(50, WIDTH, HIDDEN, dtype=dtype), torch.randn(50, WIDTH, HIDDEN, dtype=dtype)
    a = {"any": a, "0 and 1": a.real.round().to(dtype), "the same at every step": a[:1].expand_as(a)}[gates]
    given = [part.clone().requires_grad_() for part in (a, b, torch.randn(WIDTH, HIDDEN, dtype=dtype))]
    weights = torch.randn(50, WIDTH, HIDDEN, dtype=dtype)
    found, expected = scan(*given), loop(*given)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    slopes = (torch.autograd.grad((weights * out).real.sum() if dtype.is_complex else (weights * out).sum(), given)
              for out in (found, expected))  # fmt: skip
    torch.testing.assert_close(next(slopes), next(slopes), rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_a_scan_has_second_derivatives(dtype: torch.dtype) -> None:
    given = [torch.randn(*shape, dtype=dtype, requires_grad=True) for shape in ((3, 2), (3, 2), (2,))]
    assert torch.autograd.gradcheck(scan, given)
    assert torch.autograd.gradgradcheck(scan, given)


@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize("name", DIAGONAL)
def test_a_layer_that_scans_is_the_layer_that_loops(name: str, kind: str) -> None:
    (dtype, tolerance), cell = TYPES[kind], MODELS.implementation(name)(FEATURES, HIDDEN)
    cell, inputs = cell.to(dtype), torch.randn(TIME, WIDTH, FEATURES, dtype=dtype)
    start = tuple(part.to(dtype) for part in some_state(cell))
    results = []
    for unroll in (type(cell).unroll, Cell.unroll):
        outputs, after = unroll(cell, cell.project(inputs), start)
        slopes = torch.autograd.grad(outputs.square().sum() + after[-1].sum(), [*cell.parameters()])
        results.append((outputs, after, slopes))
    torch.testing.assert_close(*results, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("size", [-1e3, 1e3])
@pytest.mark.parametrize("name", ["mingru", "minlstm"])
def test_gates_at_their_ends_leave_everything_finite(name: str, size: float) -> None:
    core = core_class(name)(FEATURES, HIDDEN).float()
    inputs = (size * torch.randn(TIME, WIDTH, FEATURES)).float()
    outputs, _ = core(inputs)
    slopes = torch.autograd.grad(outputs.sum(), [*core.parameters()])
    assert all(part.isfinite().all() for part in (outputs, *slopes))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=lru", "model.r_min=0.9", "model.r_max=0.5"], r"model.*r_min = 0\.9 must be below r_max = 0\.5"),
        (["model=lru", "model.r_max=1.0"], r"model\.r_max"),
        (["model=lru", "model.max_phase=7.0"], r"model\.max_phase"),
        (["model=selective", "model.dt_min=0.2"], r"model.*dt_min = 0\.2 must be below dt_max = 0\.1"),
        (["model=deltanet", "model.key_size=0"], r"model\.key_size"),
        (["model=mingru", "model.recurrent_dropout=0.1"], r"recurrent_dropout = 0\.1 must be 0.*forgotten for good"),
    ],
)
def test_a_start_that_makes_no_sense_is_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(composed(*overrides))


def test_the_schema_says_which_cells_are_linear_in_their_state() -> None:
    """A new state is linear in the old one if the mean of two states goes to the mean of theirs."""
    for name in MODELS:
        core = core_class(name)(FEATURES, HIDDEN)
        inputs = torch.randn(WIDTH, FEATURES)
        zeros = core.initial_state(inputs[None])
        one, other = (tuple(torch.randn_like(part[0]) for part in zeros) for _ in range(2))
        middle = tuple((a + b) / 2 for a, b in zip(one, other, strict=True))
        ends, found = [core.step(0, inputs, state) for state in (one, other)], core.step(0, inputs, middle)
        linear = all(torch.allclose((a + b) / 2, c) for a, b, c in zip(*ends, found, strict=True))
        assert linear == MODELS.config(name).linear, name
