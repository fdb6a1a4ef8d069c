"""What an update is made of, literally: BPTT step by step, losses entry by entry, clip policies number by number."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.none import NoClip
from study.learning.clipping.norm import ClipNorm
from study.learning.clipping.value import ClipValue
from study.learning.losses.binary_cross_entropy import BinaryCrossEntropy
from study.learning.losses.cross_entropy import CrossEntropy
from study.learning.losses.mse import MSE as SquaredError
from study.learning.losses.one_vs_rest import OneVsRest
from study.models import RecurrentModel, State
from study.probes.gradients import flat
from study.probes.truncation import truncation_bias
from study.schema.model import MODELS
from study.tasks.contract import Batch
from study.verify.check import Check
from study.verify.networks import MSE, data, normal, random_network

TIME = 12
PLANS = ((3, 3), (1, 4), (2, 5), (3, 7), (5, 5))
"""(k1, k2): blocks, windows that overlap, and blocks that do not divide the sequence."""


def truncated() -> Iterator[Check]:
    """The gradient of a sequence, and the first two updates of it, against one graph a loss."""
    for name in MODELS:
        batch = _ragged(data(TIME, 3))
        for k1, k2 in PLANS:
            network = random_network(name, 1.5, 5, 2)
            slow = literal(network, batch, k1, k2, range(TIME)) / batch.steps
            bptt = _trainer(network, k1, k2)
            bptt.backward(batch)
            found = flat([p.grad for p in network.parameters() if p.grad is not None])
            yield _worst("gradient of a sequence", f"{name}, k1 = {k1}, k2 = {k2}", slow, found)
        yield from _windows(name, batch, 2, 5)


def _windows(name: str, batch: Batch, k1: int, k2: int) -> Iterator[Check]:
    """One update a window: each the mean over the steps of its own window; no parameter moves, for the rate is 0."""
    network = random_network(name, 1.5, 5, 2)
    found = [float(update.clipped.total) for update in _trainer(network, k1, k2, "window").updates(batch)]
    slow = []
    for first in range(0, TIME, k1):
        steps = range(first, min(first + k1, TIME))
        slow.append(float(literal(network, batch, k1, k2, steps).norm()) / batch.between(first, steps.stop).steps)
    of = f"{name}, k1 = {k1}, k2 = {k2}"
    yield _worst("gradient norm, every update", of, torch.tensor(slow), torch.tensor(found))


def literal(network: RecurrentModel, batch: Batch, k1: int, k2: int, steps: range) -> Tensor:
    """The sum of the gradients of some losses, each read off a graph of its own that ends where its window starts.

    A window ends every k1 steps, and starts k2 steps before its end.
    """
    total = torch.zeros(sum(p.numel() for p in network.parameters()), dtype=torch.float64)
    for step in steps:
        start = max(0, (step // k1 + 1) * k1 - k2)
        state: State | None = None
        with torch.no_grad():
            for t in range(start):
                _, state = network(batch.inputs[t : t + 1], state)
        for t in range(start, step + 1):
            outputs, state = network(batch.inputs[t : t + 1], state)
        errors = (outputs[0] - batch.targets[step]).square().mean(-1)
        counted = errors.sum() if batch.mask is None else errors[batch.mask[step]].sum()
        total += flat(torch.autograd.grad(counted, [*network.parameters()]))
    return total


def ragged_parts() -> Iterator[Check]:
    """The bias of a whole batch, where its parts have unequal numbers of steps; and of each part."""
    batch, k2 = _ragged(data(TIME, 4)), 3
    network = random_network("gru", 1.5, 5)
    found = truncation_bias(_trainer(network, None, k2), batch, [k2], 2)
    pieces = [Batch(batch.inputs[:, i : i + 2], batch.targets[:, i : i + 2], batch.mask[:, i : i + 2]) for i in (0, 2)]  # type: ignore[index]
    for of, part, got in (
        ("gru, ragged batch", batch, float(found.error[0])),
        ("gru, its first half", pieces[0], float(found.errors[0, 0])),
        ("gru, its second half", pieces[1], float(found.errors[0, 1])),
    ):
        full = literal(network, part, TIME, TIME, range(TIME))
        cut = literal(network, part, k2, k2, range(TIME))
        yield Check("truncation bias, k2 = 3", of, float((cut - full).norm() / full.norm()), got, 1e-9)


def loss_values() -> Iterator[Check]:
    """The losses that tasks bring, and their gradients in the outputs, entry by entry, on steps that count."""
    classes, time, width = 4, 5, 3
    outputs, labels = 2 * normal(time, width, classes, seed=5), torch.arange(time * width).view(time, width) % classes
    mask = torch.arange(time)[:, None] < torch.tensor([5, 3, 1])
    values = normal(time, width, classes, seed=6)
    p, e = outputs.exp() / outputs.exp().sum(-1, keepdim=True), 1 / (1 + (-outputs).exp())
    hot = (labels[..., None] == torch.arange(classes)).double()
    one, binary = e[..., :1], (labels % 2)[..., None].double()
    surprise = -(binary * one.log() + (1 - binary) * (1 - one).log())
    truths = (
        (SquaredError(), outputs, values, (outputs - values) ** 2 / classes, 2 * (outputs - values) / classes),
        (CrossEntropy(), outputs, labels, -hot * p.log(), p - hot),
        (OneVsRest(), outputs, labels, -hot * e.log() - (1 - hot) * (1 - e).log(), e - hot),
        (BinaryCrossEntropy(), outputs[..., :1], labels % 2, surprise, one - binary),
    )  # fmt: skip
    for loss, given, targets, terms, slopes in truths:
        leaf = given.clone().requires_grad_()
        total = loss.total(leaf, targets, mask)
        (slope,) = torch.autograd.grad(total, leaf)
        name = type(loss).__name__
        yield Check("loss of a ragged batch", name, float(terms[mask].sum()), float(total.detach()), 1e-9)
        yield _worst("loss, gradient in outputs", name, (slopes * mask[..., None]).flatten(), slope.flatten())


def clipping() -> Iterator[Check]:
    """Norms found before and left after, and every entry, for gradients of norms 3, 4 and 12: 13 in all."""
    for policy, threshold, clip in (
        ("none", math.inf, NoClip()), ("norm", 6.5, ClipNorm(6.5)), ("norm, tiny", 1e-5, ClipNorm(1e-5)),
        ("norm, above", 14.0, ClipNorm(14.0)), ("value", 2.5, ClipValue(2.5)),
    ):  # fmt: skip
        given = [torch.tensor([3.0]), torch.tensor([0.0, -4.0]), torch.tensor([-12.0, 0.0])]
        given = [gradient.double() for gradient in given]
        entries = [3.0, 0.0, -4.0, -12.0, 0.0]
        if policy == "value":
            left = [min(max(entry, -threshold), threshold) for entry in entries]
        else:
            left = [entry * min(1.0, threshold / 13.0) for entry in entries]
        clipped = clip(given, [torch.zeros_like(gradient) for gradient in given])
        yield _worst("entries left by the clip", policy, torch.tensor(left, dtype=torch.float64), flat(given))
        yield _worst("norms, by parameter, before", policy, torch.tensor([3.0, 4.0, 12.0]), clipped.parameters)
        yield Check("norm before", policy, 13.0, float(clipped.total), 1e-9)
        applied = math.sqrt(sum(entry**2 for entry in left))
        yield Check("norm after", policy, applied, float(clipped.applied), 1e-9 * applied)


def _trainer(network: RecurrentModel, k1: int | None, k2: int | None, update: str = "sequence") -> TruncatedBPTT:
    rest = torch.optim.SGD(network.parameters(), 0.0)
    return TruncatedBPTT(network, MSE, rest, NoClip(), k1, k2, "window" if update == "window" else "sequence")


def _ragged(batch: Batch) -> Batch:
    """The same with sequences of very different lengths; the first is whole."""
    lengths = torch.tensor([TIME, TIME - 2, 3, 5][: batch.targets.shape[1]])
    return Batch(batch.inputs, batch.targets, torch.arange(TIME)[:, None] < lengths)


def _worst(measure: str, of: str, slow: Tensor, found: Tensor) -> Check:
    """All entries by their largest error, relative to the largest entry; the largest stands for all."""
    place = int(slow.abs().argmax())
    worst = float((slow.double() - found.double()).abs().max() / slow.abs().max())
    return Check(measure, of, float(slow[place]), float(found[place]), 1e-10, worst)
