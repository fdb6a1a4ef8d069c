"""What carries a gradient, against closed forms, loops over sequences, and truncated BPTT."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from study.learning import clipping
from study.learning.bptt import TruncatedBPTT, Update
from study.learning.bptt.artbp import ARTBP
from study.learning.clipping import Clip
from study.learning.clipping.norm import ClipNorm
from study.learning.clipping.per_step import ClipPerStep
from study.learning.losses.crf import LinearChainCRF
from study.learning.regularizers import Passage
from study.learning.regularizers.orthogonality import Orthogonality
from study.models import Cell, Inputs, RecurrentModel, State, core_class
from study.models.cell import layered
from study.models.contract import Core
from study.probes.gradients import columns, flat, gradient
from study.probes.lags import MOST, shares_by_lag
from study.probes.shares import Dissection, Shares, stacked, without_dropout
from study.schema.model import MODELS
from study.tasks.contract import Batch
from study.verify.networks import MSE, Linear
from tests.members import LearntStart, Uneven
from tests.networks import batch, build

TIME, WIDTH = 9, 4


def ragged() -> Batch:
    """Sequences of several lengths, of which not every step counts."""
    data = batch(TIME, WIDTH, 3)
    mask = torch.arange(TIME)[:, None] < torch.tensor([9, 3, 7, 5])
    mask[2] = False
    return Batch(data.inputs, data.targets, mask)


def by_truncation(model: RecurrentModel, data: Batch) -> Tensor:
    """The share of every lag, from the gradients that keep so many of them."""
    parts = torch.stack([gradient(model, MSE, data, 1, k2) for k2 in range(1, data.longest + 1)])
    return parts.diff(dim=0, prepend=torch.zeros_like(parts[:1])) @ parts[-1] / parts[-1].square().sum()


def with_core(core: Core) -> RecurrentModel:
    return RecurrentModel(Inputs(3, tokens=False), core, 1).double()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_the_share_of_a_lag_is_what_one_more_step_of_truncation_adds(name: str, layers: int) -> None:
    model = build(name, layers)
    for data in (batch(TIME, WIDTH, 3), ragged()):
        found = shares_by_lag(model, MSE, [Passage(data, None, 0)])
        torch.testing.assert_close(found.shares, by_truncation(model, data), rtol=0, atol=1e-10)
        assert found.further == 0


@pytest.mark.parametrize("kind", [LearntStart, Uneven])
def test_a_learnt_start_belongs_to_the_lag_of_the_first_step(kind: Callable[..., Core]) -> None:
    model, data = with_core(kind(3, 5, 2)), batch(TIME, WIDTH, 3)
    nn.init.normal_(model.get_parameter("core.start"))
    found = shares_by_lag(model, MSE, [Passage(data, None, 0)]).shares
    torch.testing.assert_close(found, by_truncation(model, data), rtol=0, atol=1e-10)


def test_the_shares_of_a_rotation_are_known() -> None:
    # d L / d W at lag k is (Q^T)^k v (Q^(T-1-k) h)^T rho^(T-1): any two of them have the cosine cos^2((j - k) angle).
    angle, rho, lags = 0.3, 0.9, 7
    cos, sin = math.cos(angle), math.sin(angle)
    turned = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    model = with_core(Linear(rho * turned, 3))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name == "core.weight")
    inputs = torch.zeros(lags, 1, 3, dtype=torch.float64)
    mask = torch.zeros(lags, 1, dtype=torch.bool)
    mask[-1] = True
    data = Batch(inputs, torch.full((lags, 1, 1), 3.0, dtype=torch.float64), mask)
    state = (torch.tensor([[[1.0, 2.0]]], dtype=torch.float64),)
    found = shares_by_lag(model, MSE, [Passage(data, state, 0)]).shares
    apart = torch.arange(lags)[:, None] - torch.arange(lags)
    products = (apart.double() * angle).cos().square()
    torch.testing.assert_close(found, products.sum(0) / products.sum(), rtol=0, atol=1e-10)


class Sum(Cell):
    """h_t = h_{t-1} + w x_t."""

    def __init__(self, features: int, hidden_size: int):
        super().__init__(features, hidden_size)
        self.w = nn.Parameter(torch.ones(hidden_size, features))

    def step(self, inputs: Tensor, state: State) -> State:
        return (state[0] + inputs @ self.w.T,)


@pytest.mark.parametrize("lag", [0, 3, 8])
def test_a_planted_lag_is_found(lag: int) -> None:
    model = with_core(layered(Sum)(3, 2))
    model.head.requires_grad_(False)
    data = batch(TIME, 2, 3)
    only = torch.zeros(TIME, 2, dtype=torch.bool)
    only[-1] = True
    data.inputs[torch.arange(TIME) != TIME - 1 - lag] = 0
    found = shares_by_lag(model, MSE, [Passage(Batch(data.inputs, data.targets, only), None, 0)]).shares
    torch.testing.assert_close(found, torch.eye(TIME, dtype=torch.float64)[lag], rtol=0, atol=1e-12)


def test_both_ways_of_a_bidirectional_network_make_up_its_gradient() -> None:
    model = build("gru", bidirectional=True)
    for data in (batch(TIME, WIDTH, 3), ragged()):
        found = shares_by_lag(model, MSE, [Passage(data, None, 0)])
        assert float(found.shares.sum()) == pytest.approx(1)
        expected = gradient(model, MSE, data)
        assert float(torch.cosine_similarity(found.gradient, expected, dim=0)) == pytest.approx(1)


def test_a_loss_of_whole_sequences_has_shares_too() -> None:
    loss, inputs = LinearChainCRF(), Inputs(3, tokens=False)
    outputs, constants = loss.outputs(2), loss.constants(2)
    cores = [core_class("gru")(3, 5) for _ in range(2)]
    model = RecurrentModel(inputs, cores[0], outputs, 0.0, cores[1], constants=constants).double()
    data = ragged()
    labels = Batch(data.inputs, (data.targets[..., 0] > 0).long(), data.mask)
    bptt = TruncatedBPTT(model, loss, torch.optim.SGD(model.parameters(), lr=0.1), ClipNorm(1.0))
    shares, _ = dissect(bptt, labels)
    for found in (shares.sequences, shares.lags.shares):
        assert float(found.sum()) == pytest.approx(1)
    assert shares.likeness == pytest.approx(1)


def test_lags_beyond_the_most_that_are_looked_at_are_one_share(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = build("gru"), batch(TIME, WIDTH, 3)
    every = shares_by_lag(model, MSE, [Passage(data, None, 0)]).shares
    assert MOST > TIME
    monkeypatch.setattr("study.probes.lags.MOST", 4)
    found = shares_by_lag(model, MSE, [Passage(data, None, 0)])
    torch.testing.assert_close(found.shares, every[:4])
    assert found.further == pytest.approx(float(every[4:].sum()))


def trainer(model: RecurrentModel, clip: Clip, kind: type[TruncatedBPTT] = TruncatedBPTT, **plan: Any) -> TruncatedBPTT:
    return kind(model, copy.deepcopy(MSE), torch.optim.SGD(model.parameters(), lr=0.1), clip, **plan)


def dissect(bptt: TruncatedBPTT, data: Batch, number: int = 0) -> tuple[Shares, Update]:
    """Take one update of a batch apart, after so many others; the update."""
    updates = bptt.updates(data)
    for _ in range(number):
        next(updates)
    dissection = Dissection(bptt)
    update = next(updates)
    return dissection.shares, update


PLANS: list[dict[str, Any]] = [{}, {"k2": 4}, {"k1": 2, "k2": 4}, {"k1": 3, "k2": 6, "update": "sequence"}]


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("data", [batch(TIME, WIDTH, 3), ragged()], ids=["whole", "ragged"])
def test_shares_by_sequence_are_those_of_a_loop_over_the_sequences(plan: dict[str, Any], data: Batch) -> None:
    bptt = trainer(build("lstm"), ClipNorm(1e-3), **plan)
    before = copy.deepcopy(bptt.model)
    shares, update = dissect(bptt, data)
    found = []
    for sequence in (None, *range(WIDTH)):
        other = trainer(copy.deepcopy(before), ClipNorm(1e9), **plan)
        other.loss.over_time = "sum"  # so that a part of a batch is not divided by its own steps
        recorder = _Gradient(other)
        next(other.updates(data if sequence is None else columns(data, sequence, sequence + 1)))
        found.append(recorder.found * (WIDTH if sequence is None else 1))
    whole, *parts = found
    expected = torch.stack(parts) @ whole / whole.square().sum()
    torch.testing.assert_close(shares.sequences, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(shares.norms, torch.stack(parts).norm(dim=1) / whole.norm(), rtol=1e-8, atol=0)
    assert float(shares.sequences.sum()) == pytest.approx(1)
    assert sum(share.share for share in shares.parameters) == pytest.approx(1)
    assert float(shares.lags.shares.sum()) == pytest.approx(1)
    assert shares.likeness == pytest.approx(1)
    assert shares.norm == pytest.approx(float(update.clipped.total))


class _Gradient:
    """Keeps the gradient of an update."""

    found: Tensor

    def __init__(self, bptt: TruncatedBPTT):
        bptt.witness = self

    def window(self, passage: Passage, outputs: Tensor, loss: Tensor) -> None:
        pass

    def gradient(self, gradients: list[Tensor]) -> None:
        self.found = flat(gradients)


def test_a_planted_outlier_carries_the_gradient_and_only_its_own() -> None:
    data = batch(TIME, 8, 3)
    data.targets[:, 5] += 100
    shares, _ = dissect(trainer(build("gru"), ClipNorm(1.0)), data)
    assert int(shares.sequences.argmax()) == 5
    assert float(shares.sequences[5]) > 0.9


SCHEMES: dict[str, Callable[[RecurrentModel], TruncatedBPTT]] = {
    "norm": lambda model: trainer(model, ClipNorm(1e-3), k2=4),
    "per step": lambda model: trainer(model, ClipPerStep(1e-3), k2=4),
    "autoclip": lambda model: trainer(model, clipping.build(_autoclip()), k1=2, k2=4),
    "artbp": lambda model: trainer(model, ClipNorm(1e-3), ARTBP, length=4, alpha=None, block=2),
    "sequence": lambda model: trainer(model, ClipNorm(1e-3), k1=2, k2=4, update="sequence"),
}


def _autoclip() -> Any:
    from tests.composed import configured

    return configured("forecasting_stocks", "clip=autoclip").clip


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_update_is_the_same_whether_it_is_taken_apart_or_not(scheme: str) -> None:
    results = []
    for watched in (False, True):
        model = build("lstm", 2, dropout=0.4)
        model.dropout = nn.Dropout(0.3)
        bptt, made = SCHEMES[scheme](model), []
        torch.manual_seed(3)
        for _ in range(3):
            if watched:
                Dissection(bptt)
            made += [_numbers(update) for update in bptt.updates(batch(TIME, WIDTH, 3))]
        results.append((torch.stack(made), flat([*model.parameters()])))
    for without, taken in zip(*results, strict=True):
        assert torch.equal(without, taken)


def _numbers(update: Update) -> Tensor:
    records = [torch.as_tensor(value) for value in update.records.values()]
    return torch.stack([update.loss, update.clipped.total, update.clipped.applied, *records]).nan_to_num()


def test_dropout_is_in_the_shares_by_sequence_and_named_in_those_by_lag() -> None:
    model = build("gru")
    model.dropout = nn.Dropout(0.5)
    shares, _ = dissect(trainer(model, ClipNorm(1.0)), batch(TIME, WIDTH, 3))
    assert float(shares.sequences.sum()) == pytest.approx(1)
    assert float(shares.lags.shares.sum()) == pytest.approx(1)
    assert shares.likeness < 0.999


def test_what_a_regularizer_has_of_the_gradient_stands_beside_the_sequences() -> None:
    bptt = trainer(build("elman"), ClipNorm(1.0))
    bptt.regularizer = Orthogonality(1e-9)
    assert abs(dissect(bptt, batch(TIME, WIDTH, 3))[0].rest) < 1e-6
    bptt.regularizer = Orthogonality(1e3)
    assert dissect(bptt, batch(TIME, WIDTH, 3))[0].rest > 0.9


def test_a_loss_that_scales_its_gradients_has_the_same_shares() -> None:
    found = []
    for scale in ("none", "initial"):
        bptt = trainer(build("elman"), ClipNorm(1.0))
        bptt.loss.scale = scale
        found.append(dissect(bptt, batch(TIME, WIDTH, 3))[0].sequences)
    torch.testing.assert_close(*found)


def test_outputs_that_are_not_finite_are_named_by_sequence_and_step() -> None:
    data = batch(TIME, WIDTH, 3)
    data.inputs[4, 2] = math.nan
    shares, _ = dissect(trainer(build("elman"), ClipNorm(1.0), k2=3), data, 1)
    assert shares.lost == {2: 1}
    assert math.isnan(shares.norm)
    assert shares.lags.shares.isnan().all()


def test_the_loss_without_dropout_is_that_of_the_steps_that_count() -> None:
    bptt, data = trainer(build("elman"), ClipNorm(1.0)), ragged()
    outputs, _ = bptt.model(data.inputs)
    assert data.mask is not None
    expected = (outputs - data.targets).square()[data.mask].mean()
    assert without_dropout(bptt, [Passage(data, None, 0)]) == pytest.approx(expected.item())


READERS = ("candidate", "y")
"""What reads a gate within a step: GRU's and MGU's candidate, LEM's y."""
STACKED = [name for name in MODELS if build(name).core.stacked]


@pytest.mark.parametrize("name", STACKED)
def test_the_rows_of_a_gate_move_that_gate_and_none_but_what_reads_it_in_the_same_step(name: str) -> None:
    model = build(name)
    names = dict(model.named_parameters())
    held = [each for each, parameter in names.items() if stacked(model, each, parameter) and parameter.ndim == 2]
    assert held
    inputs, state = torch.randn(3, 3, dtype=torch.float64), model.core.initial_state(batch(1, 3, 3).inputs)
    at: State = tuple(torch.rand_like(part[0]) for part in state)
    before = _activations(model.core, inputs, at)
    for parameter in held:
        for number, gate in enumerate(model.core.stacked):
            moved = copy.deepcopy(model)
            with torch.no_grad():
                moved.get_parameter(parameter).chunk(len(model.core.stacked))[number].add_(0.5)
            after = _activations(moved.core, inputs, at)
            changed = {each for each in before if not torch.equal(before[each], after[each])}
            assert gate not in before or gate in changed
            assert not changed & (set(model.core.stacked) - {gate, *READERS})


def _activations(core: Core, inputs: Tensor, state: State) -> dict[str, Tensor]:
    units = core.activations(0, inputs, state)
    return {**units.gates, **units.tanh}


def test_a_matrix_of_one_block_or_outside_the_core_has_no_gates() -> None:
    model = build("mgu")
    assert stacked(model, "core.cells.0.U_f", model.get_parameter("core.cells.0.U_f")) == ()
    assert stacked(model, "head.weight", model.get_parameter("head.weight")) == ()
    assert core_class("elman")(3, 4).stacked == ()
