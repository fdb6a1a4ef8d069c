"""Claims about models that read both ways: each way is a network of its own, padding is nowhere, and where they fit."""

from typing import Any

import pytest
import torch
from torch import Tensor

from study.errors import ConfigError
from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.none import NoClip
from study.learning.evaluation import Evaluation
from study.learning.losses.cross_entropy import CrossEntropy
from study.models import RecurrentModel
from study.models.network import reverse_sequences
from study.models.stepping import flatten, step
from study.probes.backpropagated import backpropagated
from study.probes.flow import gradient_flow
from study.schema import validate
from study.schema.model import MODELS
from study.tasks import Batch
from study.tasks.metrics import LabellingMetrics
from tests.composed import composed
from tests.networks import build

LENGTHS = (9, 4, 1, 7)
TIME, CLASSES = 11, 3
every_kind = pytest.mark.parametrize(("name", "layers"), [(name, layers) for name in MODELS for layers in (1, 2)])


def both(name: str, layers: int = 1, **changes: Any) -> RecurrentModel:
    network = build(name, layers, bidirectional=True, **changes)
    network.head = torch.nn.Linear(network.head.in_features, CLASSES).double()
    return network


def padded(filling: float = 0.0) -> Batch:
    """Sequences of `LENGTHS` steps whose padding holds `filling`."""
    draws = torch.Generator().manual_seed(2)
    mask = torch.arange(TIME)[:, None] < torch.tensor(LENGTHS)
    inputs = torch.randn(TIME, len(LENGTHS), 3, generator=draws).double()
    targets = torch.randint(CLASSES, mask.shape, generator=draws)
    return Batch(torch.where(mask[..., None], inputs, filling), targets * mask, mask)


def alone(batch: Batch, i: int) -> Batch:
    """One sequence without its padding."""
    return Batch(batch.inputs[: LENGTHS[i], i : i + 1], batch.targets[: LENGTHS[i], i : i + 1])


def gradient(network: RecurrentModel, batch: Batch, **options: Any) -> list[Tensor]:
    network.zero_grad(set_to_none=True)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    TruncatedBPTT(network, CrossEntropy("sum"), optimizer, NoClip(), **options).backward(batch)
    return [p.grad.clone() for p in network.parameters() if p.grad is not None]


def test_each_sequence_is_reversed_within_its_length_and_twice_is_not_at_all() -> None:
    batch = padded(5.0)
    reversed_once = reverse_sequences(batch.inputs, batch.mask)
    for i, length in enumerate(LENGTHS):
        assert torch.equal(reversed_once[:length, i], batch.inputs[:length, i].flip(0))
        assert torch.equal(reversed_once[length:, i], batch.inputs[length:, i])
    assert torch.equal(reverse_sequences(reversed_once, batch.mask), batch.inputs)
    assert torch.equal(reverse_sequences(batch.inputs, None), batch.inputs.flip(0))


@every_kind
def test_outputs_are_those_of_two_networks_one_fed_backwards_sequence_by_sequence(name: str, layers: int) -> None:
    network, batch = both(name, layers), padded()
    outputs, _ = network(batch.inputs, None, batch.mask)
    assert network.reverse is not None
    for i, length in enumerate(LENGTHS):
        inputs = alone(batch, i).inputs
        past, future = network.core(inputs)[0], network.reverse(inputs.flip(0))[0].flip(0)
        expected = torch.cat([past, future], -1) @ network.head.weight.T + network.head.bias
        torch.testing.assert_close(outputs[:length, i], expected[:, 0])


@every_kind
def test_a_step_sees_all_steps_of_its_own_sequence_and_nothing_else(name: str, layers: int) -> None:
    network, batch = both(name, layers), padded()
    inputs = batch.inputs.clone().requires_grad_()
    outputs, _ = network(inputs, None, batch.mask)
    (slope,) = torch.autograd.grad(outputs[3, 0].sum(), inputs)
    seen = slope.any(-1)
    assert seen[: LENGTHS[0], 0].all()
    assert seen.sum() == LENGTHS[0]


@every_kind
def test_the_gradient_of_a_padded_batch_is_the_mean_of_its_sequences_alone_whatever_the_padding_holds(
    name: str, layers: int
) -> None:
    network = both(name, layers)
    apart = [gradient(network, alone(padded(), i)) for i in range(len(LENGTHS))]
    expected = [torch.stack(parts).mean(0) for parts in zip(*apart, strict=True)]
    for filling in (0.0, 7.0):
        torch.testing.assert_close(gradient(network, padded(filling)), expected)


def test_measures_of_a_padded_batch_are_those_of_its_sequences_alone() -> None:
    network = both("gru")
    together, apart = (Evaluation(network, CrossEntropy(), LabellingMetrics(CLASSES), stateful=False) for _ in range(2))
    together.add([padded(7.0)])
    apart.add([alone(padded(), i) for i in range(len(LENGTHS))])
    assert together.result() == pytest.approx(apart.result())


@every_kind
def test_the_flow_is_the_gradient_in_the_states_of_the_core_that_reads_forwards(name: str, layers: int) -> None:
    network = both(name, layers)
    whole = padded()
    batch = Batch(whole.inputs[:9, :1], whole.targets[:9, :1])
    states = [[part.requires_grad_() for part in flatten(network.core.initial_state(batch.inputs))]]
    parts = len(network.core.state_parts)
    for entering in batch.inputs:
        states.append(step(network.core, entering, states[-1]))
    hidden = torch.stack([after[-parts] for after in states[1:]])
    outputs = network.decode(hidden, network.ahead(batch.inputs, None))
    flow = gradient_flow(network, CrossEntropy(), batch, 6, 1)
    total = CrossEntropy().total(outputs[-1:], batch.targets[-1:], None)
    for lag in range(7):
        expected = torch.autograd.grad(total, states[9 - lag], retain_graph=True, allow_unused=True)
        norm = sum(float(g.square().sum()) for g in expected if g is not None) ** 0.5
        assert flow.joint.log_norms[lag, 0] == pytest.approx(float(torch.tensor(norm).log()), rel=1e-6)
    sent = backpropagated(network, CrossEntropy("sum"), batch)
    mean = CrossEntropy("sum").total(outputs, batch.targets, None)
    (last,) = torch.autograd.grad(mean, hidden, retain_graph=True)
    assert sent.log_norms[-1, -1, 0, 0] == pytest.approx(float(last[-1].norm().log()), rel=1e-6)


def both_ways(*overrides: str) -> object:
    return validate(composed("model.bidirectional=true", *overrides))


@pytest.mark.parametrize("task", ["forecasting_stocks", "language_bible_char", "language_copying"])
def test_where_the_steps_ahead_are_asked_for_it_is_refused(task: str) -> None:
    with pytest.raises(ConfigError, match=rf"model\.bidirectional.*task={task}.*labelling alone"):
        both_ways(f"task={task}")


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["bptt.k2=5"], "bptt.k2 must be null"),
        (["bptt.k1=5"], "bptt.k1 must be null"),
        (["bptt.k1=2", "bptt.k2=5"], "bptt.k1 and bptt.k2 must be null"),
        (["probe=full"], "probe.truncation and probe.alignment must be null"),
    ],
)
def test_windows_that_would_cut_what_reads_backwards_are_refused(overrides: list[str], named: str) -> None:
    assert both_ways("task=labelling_parity")
    with pytest.raises(ConfigError, match=named):
        both_ways("task=labelling_parity", *overrides)
