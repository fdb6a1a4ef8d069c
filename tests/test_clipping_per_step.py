"""A core run step by step under watch is the same core; and per-step clipping cuts what flows, not the sum."""

import math
from collections.abc import Callable, Sequence
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from study.columns import SHARE
from study.learning.bptt import TruncatedBPTT
from study.learning.clipping import Clipped
from study.learning.clipping.none import NoClip
from study.learning.clipping.norm import ClipNorm
from study.learning.clipping.per_step import ClipPerStep
from study.models import Core, Inputs, RecurrentModel, State, core_class
from study.models.unrolled import unrolled, watched
from study.schema.model import MODELS
from study.tasks.contract import Batch
from study.testing.clips import clip_once
from study.testing.cores import takes
from study.verify.networks import MSE, Linear
from tests.members import LearntStart, Uneven
from tests.networks import batch, build

TIME, WIDTH = 6, 2
EVERY: dict[str, Callable[..., Core]] = {name: core_class(name) for name in MODELS} | {
    "uneven": Uneven, "learnt start": LearntStart,
}  # fmt: skip
every_core = pytest.mark.parametrize("name", EVERY)


def make(name: str, **options: float) -> Core:
    torch.manual_seed(0)
    return EVERY[name](3, 5, 2, **options).double()


def grad(of: Tensor | tuple[Tensor, ...], by: Sequence[Tensor], given: list[Tensor] | None = None) -> list[Tensor]:
    return list(torch.autograd.grad(of, by, given, allow_unused=True, materialize_grads=True))


def unchanged(layer: int, state: State) -> State:
    return state


@every_core
def test_a_core_under_watch_returns_what_its_forward_returns_and_has_the_same_gradient(name: str) -> None:
    core, inputs = make(name), batch(7, 4, 3).inputs.requires_grad_()
    start = tuple(part.detach() + 0.1 for part in core.initial_state(inputs))
    for state in (None, start):
        runs = [core(inputs, state), unrolled(core, inputs, state, watch=unchanged)]
        torch.testing.assert_close(*runs)
        sums = [outputs.square().sum() + sum(part.sum() for part in end) for outputs, end in runs]
        torch.testing.assert_close(*(grad(total, [inputs, *core.parameters()]) for total in sums))


@every_core
def test_every_new_state_is_watched_once_layer_by_layer_and_what_the_watch_returns_is_what_is_read(name: str) -> None:
    core, inputs, seen = make(name), batch(3, 2, 3).inputs, []

    def silence(layer: int, state: State) -> State:
        seen.append((layer, tuple(part.shape for part in state)))
        return tuple(torch.zeros_like(part) for part in state)

    outputs, state = unrolled(core, inputs, watch=silence)
    widths = [part.shape[-1] for part in core.initial_state(inputs)]
    assert seen == [(layer, tuple((2, width) for width in widths)) for layer in (0, 0, 0, 1, 1, 1)]
    assert not outputs.any()
    assert not any(part.any() for part in state)


@pytest.mark.parametrize("name", [name for name in EVERY if takes(EVERY[name], "dropout") and name != "learnt start"])
def test_between_layers_is_the_dropout_of_the_core_in_training_and_none_in_evaluation(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, inputs = make(name, dropout=0.4), torch.randn(100, 8, 3, dtype=torch.float64)
    dropped, between = core.dropped, list[tuple[Tensor, Tensor]]()

    def listen(outputs: Tensor) -> Tensor:
        between.append((outputs, dropped(outputs)))
        return between[-1][1]

    monkeypatch.setattr(core, "dropped", listen)
    unrolled(core, inputs, watch=unchanged)
    ((before, after),) = between  # of two layers
    assert (after == 0)[before != 0].double().mean() == pytest.approx(0.4, abs=0.04)
    core.eval()
    torch.testing.assert_close(unrolled(core, inputs, watch=unchanged), core(inputs))


def test_who_watches_nothing_runs_a_core_as_its_updates_do(monkeypatch: pytest.MonkeyPatch) -> None:
    core, inputs = make("gru"), batch(6, 2, 3).inputs
    kernel = Mock(wraps=core.run_layer)
    monkeypatch.setattr(core, "run_layer", kernel)
    torch.testing.assert_close(watched(None)(core, inputs, None)[0], core(inputs)[0])
    assert kernel.called


def literal(network: RecurrentModel, threshold: float, k2: int) -> tuple[list[Tensor], list[float]]:
    """The gradient of the batch with every dL / dx_t of every sequence cut to a threshold, and their norms before.

    Each step is a graph of its own: delta is carried from one to the step before it by hand.
    """
    data, parameters = batch(TIME, WIDTH, 3), list(network.parameters())
    total, lengths = [torch.zeros_like(p) for p in parameters], []
    for sequence in range(WIDTH):
        state = tuple(part[0].detach() for part in network.core.initial_state(data.inputs[:1, sequence : sequence + 1]))
        for start in range(0, TIME, k2):
            steps = range(start, min(start + k2, TIME))
            entries, made, left = [], [], []
            for t in steps:
                entries.append(tuple(part.detach().requires_grad_() for part in state))
                made.append(network.core.step(0, data.inputs[t, sequence][None], entries[-1]))
                state = made[-1]
                left.append(tuple(part.detach().requires_grad_() for part in state))
            delta = [torch.zeros_like(part) for part in state]
            for i in reversed(range(len(steps))):
                loss = (network.head(left[i][0]) - data.targets[steps[i], sequence]).square().sum() / (TIME * WIDTH)
                own = grad(loss, [*left[i], *parameters])
                delta = [later + here for later, here in zip(delta, own, strict=False)]
                lengths.append(float(torch.cat(delta, 1).norm()))
                cut = [part * min(1.0, threshold / lengths[-1]) for part in delta]
                through = grad(made[i], [*entries[i], *parameters], cut)
                delta = through[: len(delta)]
                for parts in (own[len(delta) :], through[len(delta) :]):
                    total = [one + other for one, other in zip(total, parts, strict=True)]
    return total, lengths


class Spy(ClipPerStep):
    """Keeps the gradient that the optimizer sees."""

    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        self.seen = [gradient.clone() for gradient in gradients]
        return super().__call__(gradients, parameters)


@pytest.mark.parametrize("k2", [2, 4, TIME])
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "mgu"])
def test_the_gradient_is_that_of_deltas_cut_one_by_one_and_the_share_of_them_is_recorded(
    name: str, share: float, k2: int
) -> None:
    network = build(name)
    lengths = literal(network, math.inf, k2)[1]
    threshold = {0.0: 2 * max(lengths), 0.4: 1.01 * sorted(lengths)[int(0.6 * len(lengths))], 1.0: 1e-4}[share]
    expected, lengths = literal(network, threshold, k2)
    spy = Spy(threshold)
    trainer = TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.0), spy, None, k2, "sequence")
    (update,) = trainer.updates(batch(TIME, WIDTH, 3))
    torch.testing.assert_close(spy.seen, expected)
    cut = sum(length > threshold for length in lengths) / len(lengths)
    assert update.clipped.records[SHARE].item() == pytest.approx(cut)
    assert (cut == 0.0, cut == 1.0) == (share == 0.0, share == 1.0)
    assert torch.equal(update.clipped.total, update.clipped.applied)


def test_of_a_flow_that_explodes_every_step_counts_alike_where_the_norm_clip_leaves_only_the_first() -> None:
    """h_t = 3 h_{t-1} + V x_t, the loss at step 40: dL / dh_t = 3^(40 - t) u. Cut to c, dL / dV = c u sum_t x_t^T."""
    network = RecurrentModel(Inputs(3, tokens=False), Linear(3 * torch.eye(4), 3), 1).double()
    data, found = batch(40, 1, 3), []
    last = Batch(data.inputs, data.targets, torch.arange(40)[:, None] == 39)
    for policy in (NoClip, ClipNorm, ClipPerStep):
        clip = policy() if policy is NoClip else policy(1e-6)  # type: ignore[call-arg]
        TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.0), clip).backward(last)
        gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        before = clip_once(clip, [*gradients.values()], list(network.parameters()))
        found.append((before, gradients["core.inputs.weight"]))
        network.zero_grad(set_to_none=True)
    (free, exploded), (normed, shortened), (stepped, cut) = found
    assert free.total == normed.total > 1e20
    first = exploded / exploded.norm()
    cosine = torch.cosine_similarity
    assert cosine(shortened.flatten(), first.flatten(), 0) == pytest.approx(1.0)
    row = data.inputs[:, 0].sum(0)
    assert cut.norm().item() == pytest.approx(1e-6 * row.norm().item())
    assert cosine(cut, row[None]).abs().tolist() == pytest.approx([1.0] * 4)
    assert stepped.records[SHARE] == 1.0


@pytest.mark.parametrize("k1", [None, 2])
def test_a_threshold_that_nothing_reaches_gives_the_gradient_of_no_clipping(k1: int | None) -> None:
    norms = []
    for clip in (NoClip(), ClipPerStep(1e9)):
        network = build("lstm", 2)
        trainer = TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), clip, k1, 5)
        norms.append([update.clipped.parameters for update in trainer.updates(batch(12, 3, 3))])
    torch.testing.assert_close(*norms)


def test_padding_counts_neither_as_reached_nor_as_clipped() -> None:
    network, data = build("gru"), batch(8, 2, 3)
    ragged = Batch(data.inputs, data.targets, torch.arange(8)[:, None] < torch.tensor([8, 2]))
    trainer = TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), ClipPerStep(1e-9))
    (update,) = trainer.updates(ragged)
    assert update.clipped.records[SHARE] == 1.0


def test_both_directions_of_a_bidirectional_network_are_clipped() -> None:
    def totals(threshold: float) -> Tensor:
        network = build("gru", bidirectional=True)
        trainer = TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), ClipPerStep(threshold))
        (update,) = trainer.updates(batch(8, 2, 3))
        names = [name for name, _ in network.named_parameters()]
        return update.clipped.parameters[[i for i, name in enumerate(names) if "weight_hh" in name]]

    assert (totals(1e-3) < totals(1e9)).all()
    assert len(totals(1e9)) == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_network_that_is_broken_gives_a_norm_that_is_not_finite_and_no_exception(bad: float) -> None:
    network = build("lstm")
    with torch.no_grad():
        network.head.weight[0, 0] = bad
    trainer = TruncatedBPTT(network, MSE, torch.optim.SGD(network.parameters(), 0.1), ClipPerStep(1e-3))
    (update,) = trainer.updates(batch(5, 2, 3))
    assert not math.isfinite(update.clipped.total)
