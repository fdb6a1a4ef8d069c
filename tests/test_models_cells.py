"""The cells stated by their step, each against its paper's equations in a plain float64 loop."""

import copy
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from study.models import Cell, Core, State, core_class
from study.models.cells.cornn import CoRNN
from study.models.cells.indrnn import IndRNN
from study.models.cells.lem import LEM
from study.models.cells.lstm import LSTM
from study.models.cells.lstm_variant import LSTMVariant
from study.models.cells.orthogonal import OrthogonalRNN
from study.schema.defaults import option
from study.schema.model import MODELS
from study.testing.cores import CoreContract, build

pytestmark = pytest.mark.usefixtures("double_precision")
TIME, WIDTH, FEATURES, HIDDEN = 9, 3, 4, 6
Values = dict[str, Tensor]


class TestVariants(CoreContract):
    """The whole contract with options that `conf/` leaves off."""

    @pytest.fixture(
        params=[
            ("lstm_variant", {"layer_norm": True, "peephole": True}),
            ("lstm_variant", {"peephole": True, "coupled": True, "forget_bias": None, "chrono": 9}),
            ("lstm_variant", {"peephole": True}),
            ("lem", {"dt": 0.3}),
            ("indrnn", {"activation": "tanh"}),
            ("slstm", {"forget_gate": "exponential"}),
            ("elman", {"activation": "relu"}),
        ],
        ids=str,
    )
    def core_class(self, request: pytest.FixtureRequest) -> Callable[..., Core]:
        name, options = request.param
        return partial(core_class(name), **options)

    @pytest.fixture
    def core(self, core_class: Callable[..., Core]) -> Core:
        return build(core_class, 2)


def values(cell: nn.Module) -> Values:
    return {name: p.detach() for name, p in cell.named_parameters()}


def random_state(cell: Cell) -> State:
    return tuple(torch.randn(WIDTH, width) for width in cell.widths)


def normalised(x: Tensor, gain: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return gain * centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def lstm_variant(cell: LSTMVariant, v: Values, x: Tensor, state: State) -> State:
    c, below, past = state[1], x @ v["W"].T, state[0] @ v["U"].T
    if "norm_h.weight" in v:
        below, past = normalised(below, v["norm_x.weight"]), normalised(past, v["norm_h.weight"])
    parts = [*(below + past + v["b"]).split(HIDDEN, -1)]
    seen = [*v["seen"].split(HIDDEN), torch.zeros(HIDDEN)] if "seen" in v else [torch.zeros(HIDDEN)] * 3
    if cell.coupled:
        f = torch.sigmoid(parts[0] + seen[0] * c)
        i = 1 - f
    else:
        i, f = torch.sigmoid(parts[0] + seen[0] * c), torch.sigmoid(parts[1] + seen[1] * c)
    c = f * c + i * torch.tanh(parts[-2])
    o = torch.sigmoid(parts[-1] + v.get("seen_after", torch.zeros(HIDDEN)) * c)
    read = normalised(c, v["norm_c.weight"]) + v["norm_c.bias"] if "norm_c.weight" in v else c
    return o * torch.tanh(read), c


def indrnn(cell: IndRNN, v: Values, x: Tensor, state: State) -> State:
    total = x @ v["W.weight"].T + v["W.bias"] + state[0] * v["u"]
    return (torch.tanh(total) if cell.activation == "tanh" else total.clamp(min=0),)


def orthogonal(cell: OrthogonalRNN, v: Values, x: Tensor, state: State) -> State:
    lower = v["W_hh.parametrizations.weight.original"].tril(-1)
    base = cell.get_buffer("W_hh.parametrizations.weight.0.base")
    eigenvalues, vectors = torch.linalg.eig(lower - lower.T)  # exp(A) of a normal A, by another way than torch's
    rotation = (vectors @ torch.diag(eigenvalues.exp()) @ torch.linalg.inv(vectors)).real
    total = x @ v["W_xh.weight"].T + v["W_xh.bias"] + state[0] @ (base @ rotation).T
    return (torch.tanh(total) if cell.activation == "tanh" else total.clamp(min=0),)


def cornn(cell: CoRNN, v: Values, x: Tensor, state: State) -> State:
    y, z = state
    force = torch.tanh(y @ v["W"].T + z @ v["U"].T + x @ v["V.weight"].T + v["V.bias"])
    faster = z + cell.dt * force - cell.dt * cell.gamma * y - cell.dt * cell.epsilon * z
    return y + cell.dt * faster, faster


def lem(cell: LEM, v: Values, x: Tensor, state: State) -> State:
    y, z = state
    below = (x @ v["V.weight"].T + v["V.bias"]).split(HIDDEN, -1)
    past = [y @ w.T for w in v["W"].split(HIDDEN)]
    d, e = (cell.dt * torch.sigmoid(below[k] + past[k]) for k in (0, 1))
    z = (1 - d) * z + d * torch.tanh(below[2] + past[2])
    return (1 - e) * y + e * torch.tanh(z @ v["W_y"].T + below[3]), z


EQUATIONS: list[tuple[type[Cell], dict[str, Any], Callable[..., State]]] = [
    (LSTMVariant, {}, lstm_variant),
    (LSTMVariant, {"layer_norm": True}, lstm_variant),
    (LSTMVariant, {"peephole": True}, lstm_variant),
    (LSTMVariant, {"coupled": True}, lstm_variant),
    (LSTMVariant, {"layer_norm": True, "peephole": True, "coupled": True}, lstm_variant),
    (IndRNN, {"activation": "relu"}, indrnn),
    (IndRNN, {"activation": "tanh", "gain": 2.0}, indrnn),
    (OrthogonalRNN, {"activation": "tanh"}, orthogonal),
    (OrthogonalRNN, {"activation": "relu"}, orthogonal),
    (CoRNN, {"dt": 0.3, "gamma": 1.5, "epsilon": 2.0}, cornn),
    (LEM, {"dt": 0.4}, lem),
]


def _named(value: Any) -> str:
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize(("kind", "options", "equations"), EQUATIONS, ids=_named)
def test_every_cell_follows_its_papers_equations(
    kind: type[Cell], options: dict[str, Any], equations: Callable[..., State]
) -> None:
    cell, inputs = kind(FEATURES, HIDDEN, **options), torch.randn(TIME, WIDTH, FEATURES)
    for parameter in cell.parameters():
        parameter.data.add_(0.5 * torch.randn_like(parameter))
    state, v, expected = random_state(cell), values(cell), []
    outputs, after = cell.unroll(cell.project(inputs), state)
    for x in inputs:
        state = equations(cell, v, x, state)
        expected.append(state[0])
    torch.testing.assert_close(outputs, torch.stack(expected))
    torch.testing.assert_close(after, state)


def test_without_options_it_is_torchs_lstm_and_starts_as_it_does() -> None:
    torch.manual_seed(4)
    plain, inputs = LSTM(FEATURES, HIDDEN), torch.randn(TIME, WIDTH, FEATURES)
    torch.manual_seed(4)
    variant = core_class("lstm_variant")(FEATURES, HIDDEN)
    torch.testing.assert_close(variant(inputs), plain(inputs))


def test_coupled_gates_leave_the_input_gate_out_and_keep_the_cell_within_one() -> None:
    cell = LSTMVariant(FEATURES, HIDDEN, coupled=True)
    assert len(cell.W) == len(cell.U) == len(cell.b) == 3 * HIDDEN
    _, (_, c) = cell.unroll(cell.project(100 * torch.randn(50, WIDTH, FEATURES)), cell.initial(torch.randn(WIDTH, 1)))
    assert c.abs().max() <= 1


@pytest.mark.parametrize("kind", [LSTM, core_class("lstm_variant")], ids=["lstm", "lstm_variant"])
def test_chrono_spreads_memories_over_the_lags_and_draws_nothing_else(kind: Callable[..., Core]) -> None:
    units, longest = 400, 50
    torch.manual_seed(1)
    plain = dict(kind(FEATURES, units).named_parameters())
    torch.manual_seed(1)
    spread = dict(kind(FEATURES, units, forget_bias=None, chrono=longest).named_parameters())
    biases = {name: p.view(4, units) for name, p in spread.items() if p.ndim == 1}
    i, f = (sum(gates[k] for gates in biases.values()) for k in (0, 1))
    assert isinstance(f, Tensor)
    torch.testing.assert_close(i, -f)
    lags = f.exp()
    assert 1 <= lags.min() < 3 < longest - 3 < lags.max() <= longest - 1
    assert lags.mean().item() == pytest.approx(longest / 2, rel=0.1)
    for name, values in spread.items():
        rest = slice(None) if values.ndim > 1 else slice(2 * units, None)
        assert torch.equal(values[rest], plain[name][rest]), name


@pytest.mark.parametrize("kind", [LSTM, LSTMVariant])
@pytest.mark.parametrize("both", [{"chrono": 10}, {"forget_bias": None}])
def test_one_key_says_how_the_forget_gate_starts(kind: Callable[..., Core], both: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="exactly one of them must be None"):
        kind(FEATURES, HIDDEN, **both)


def config(name: str, **changes: Any) -> Any:
    return MODELS.config(name).model_validate(option("model", name) | changes)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("lstm", {"chrono": 10}, "forget_bias = 1.0, chrono = 10: one of them"),
    ("lstm_variant", {"forget_bias": None}, "forget_bias = None, chrono = None: one of them"),
    ("lstm", {"forget_bias": None, "chrono": 2}, "greater than or equal to 3"),
    ("lstm_variant", {"layer_norm": True, "hidden_size": 1}, "allowed: 2 units or more"),
    ("lem", {"dt": 1.5}, "less than or equal to 1"),
    ("cornn", {"dt": 0.3}, r"dt\^2 gamma \+ 2 dt epsilon is 4.84, allowed: below 4"),
    ("elman", {"recurrent_init": "eye"}, "'orthogonal', 'uniform', 'identity' or 'sparse'"),
    ("indrnn", {"recurrent_init": "identity"}, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("name", "changes", "why"), REFUSED)
def test_what_makes_no_sense_is_refused_with_the_reason(name: str, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        config(name, **changes)


@pytest.mark.parametrize(
    ("name", "changes", "override"),
    [
        ("lstm", {}, "model.forget_bias=3.9"),
        ("lstm", {"forget_bias": None, "chrono": 20}, "model.chrono=51"),
        ("lstm_variant", {"forget_bias": None, "chrono": 40}, "model.chrono=80"),
        ("slstm", {"forget_bias": 5.0}, "model.forget_bias=6.0"),
        ("lem", {}, "model.dt=0.04"),
        ("cornn", {}, "model.dt=0.038"),
        ("indrnn", {}, "model=lstm"),
    ],
)
def test_what_would_lengthen_the_memory_of_a_cell_is_a_key_of_its_own(
    name: str, changes: dict[str, Any], override: str
) -> None:
    found = config(name, **changes)
    assert found.longer_memory(50) == override
    key, _, value = override.removeprefix("model.").partition("=")
    if key != "model":
        config(name, **changes | {key: int(value) if key == "chrono" else float(value)})


def test_a_scale_that_changes_no_output_is_not_offered_as_a_change() -> None:
    assert config("lstm_variant").scale_at_start == config("indrnn").scale_at_start == 1.0
    assert config("lstm_variant", layer_norm=True).scale_at_start is None
    inputs = torch.randn(TIME, WIDTH, FEATURES)
    outputs = []
    for gain in (1.0, 100.0):
        torch.manual_seed(0)
        outputs.append(core_class("lstm_variant")(FEATURES, HIDDEN, layer_norm=True, gain=gain)(inputs)[0])
    torch.testing.assert_close(*outputs, rtol=0, atol=0.05)


def test_an_independent_unit_keeps_u_to_the_k_of_its_gradient() -> None:
    cell, state = IndRNN(FEATURES, HIDDEN, gain=1.5), (torch.rand(1, HIDDEN).requires_grad_(),)
    assert 0 <= cell.u.min() < 0.75 < cell.u.max() <= 1.5
    outputs, _ = cell.unroll(torch.ones(TIME, 1, HIDDEN), state)
    (slope,) = torch.autograd.grad(outputs[-1].sum(), state)
    torch.testing.assert_close(slope[0], cell.u.detach() ** TIME)


def test_w_hh_stays_orthogonal_whatever_the_optimizer_does_and_is_made_once_a_sequence() -> None:
    core = core_class("orthogonal")(FEATURES, HIDDEN, 2)
    made: list[int] = []
    for layer in range(2):
        parametrisation = core.get_submodule(f"cells.{layer}.W_hh.parametrizations.weight.0")
        parametrisation.register_forward_hook(lambda *_: made.append(1))
    optimizer = torch.optim.Adam(core.parameters(), 0.3)
    start = [block.matrix.detach() for block in core.recurrent_blocks()]
    for _ in range(5):
        made.clear()
        outputs, _ = core(torch.randn(TIME, WIDTH, FEATURES))
        assert len(made) == 2
        optimizer.zero_grad()
        (outputs - 1).square().sum().backward()
        optimizer.step()
    for before, block in zip(start, core.recurrent_blocks(), strict=True):
        torch.testing.assert_close(block.matrix.T @ block.matrix, torch.eye(HIDDEN))
        assert (block.matrix - before).norm() > 0.1


def test_an_orthogonal_core_comes_back_from_its_state_dict_and_can_be_copied() -> None:
    core, other = (core_class("orthogonal")(FEATURES, HIDDEN) for _ in range(2))
    core.get_parameter(core.recurrent_parameters[0]).data.add_(torch.randn(HIDDEN, HIDDEN))
    inputs, file = torch.randn(TIME, WIDTH, FEATURES), io.BytesIO()
    torch.save(core.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(inputs)[0], core(inputs)[0])
    assert torch.equal(copy.deepcopy(core)(inputs)[0], core(inputs)[0])


@pytest.mark.parametrize(("dt", "grows"), [(0.2414, False), (0.2416, True)])
def test_the_steps_that_are_refused_are_those_whose_oscillator_grows_by_itself(dt: float, grows: bool) -> None:
    gamma, epsilon = 3.0, (4 - 0.2415**2 * 3.0) / (2 * 0.2415)
    cell = CoRNN(FEATURES, 1, dt=dt, gamma=gamma, epsilon=epsilon)
    for parameter in cell.parameters():
        parameter.data.zero_()
    rest, start = torch.zeros(1, 1), (torch.ones(1, 1), torch.ones(1, 1))
    rows = torch.autograd.functional.jacobian(lambda y, z: cell.step(rest, (y, z)), start)
    alone = torch.stack([torch.stack([entry.squeeze() for entry in row]) for row in rows])
    assert (torch.linalg.eigvals(alone).abs().max() > 1) == grows
    try:
        config("cornn", dt=dt, gamma=gamma, epsilon=epsilon)
        refused = False
    except ValidationError:
        refused = True
    assert refused == grows
