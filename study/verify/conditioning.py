"""What a step of the parameters does: sensitivity, sharpness, alignment; and what follows from the spectrum."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.learning.clipping.none import NoClip
from study.models import RecurrentModel
from study.models.stepping import flatten, step
from study.probes.alignment import alignment
from study.probes.gradients import flat
from study.probes.lyapunov import kaplan_yorke, lyapunov
from study.probes.sensitivity import responses, sensitivity
from study.probes.sharpness import sharpness
from study.schema.model import MODELS
from study.tasks.contract import Batch
from study.verify.check import Check
from study.verify.networks import FEATURES, MSE, data, linear, orthogonal, random_network

Matrix = Tensor
"""Rows and columns."""


def curse_of_memory() -> Iterator[Check]:
    """H' = lambda h + x, white x: impulses, one a sequence, make the sums over time that its expectations are."""
    for weight, time in ((0.5, 60), (0.9, 300), (0.97, 600)):
        core, square = linear(torch.tensor([[weight]], dtype=torch.float64)).core, weight**2
        core.get_parameter("inputs.weight").data.copy_(torch.tensor([[1.0, 0.0, 0.0]]))
        impulses = torch.zeros(time, time, FEATURES).double()
        impulses[:, :, 0] = torch.eye(time)
        found = sensitivity(core, impulses, 1)
        of = f"linear, lambda = {weight}"
        yield Check("E (dh/dlambda)^2", of, (1 + square) / (1 - square) ** 3, time * float(found.moved[-1]), 1e-6)
        expected = (1 + square) / (1 - square) ** 2
        yield Check("sensitivity to parameters", of, expected, float(found.ratio[-1]), 1e-6)


def full_jacobian() -> Iterator[Check]:
    """||d m_T / d theta||^2 as a sum over directions, against the whole Jacobian by backward passes."""
    for name in MODELS:
        network, batch = random_network(name, 1.5, 2, 2), data(5, 2)
        core = network.core
        if not core.recurrent_parameters:
            continue
        shapes = {parameter: core.get_parameter(parameter).shape for parameter in core.recurrent_parameters}
        basis = torch.eye(sum(shape.numel() for shape in shapes.values()), dtype=torch.float64)
        moved = [responses(core, batch.inputs, _named(row, shapes))[0][-1] for row in basis]
        slow = _memory_jacobian(network, batch.inputs).square().sum()
        yield Check("sensitivity, all directions", name, float(slow), float(torch.stack(moved).sum()), 1e-8)


def _named(row: Tensor, shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    pieces = row.split([shape.numel() for shape in shapes.values()])
    return {name: piece.view(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}


def _memory_jacobian(network: RecurrentModel, inputs: Tensor) -> Matrix:
    """The memory of all layers and sequences after the last step, in all recurrent parameters, a row at a time."""
    core, part = network.core, network.core.state_parts.index(network.core.memory)
    state = flatten(core.initial_state(inputs))
    for entering in inputs:
        state = step(core, entering, state)
    memory = torch.cat([each.flatten() for each in state[part :: len(core.state_parts)]])
    parameters = [core.get_parameter(name) for name in core.recurrent_parameters]
    return torch.stack([flat(torch.autograd.grad(entry, parameters, retain_graph=True)) for entry in memory])


def curvature() -> Iterator[Check]:
    """A head alone is a linear regression, whose Hessian is known; others against the whole Hessian."""
    network, batch = random_network("elman", 1.0, 5), data(12, 4)
    network.core.requires_grad_(False)
    hidden = network.core(batch.inputs)[0].flatten(0, 1)
    rows = torch.cat([hidden, torch.ones(len(hidden), 1).double()], 1)
    expected = float(torch.linalg.eigvalsh(2 * rows.T @ rows / len(rows))[-1])
    descent = torch.optim.SGD([*network.head.parameters()], 0.1)
    found = sharpness(_trainer(network, descent), batch, 20)
    yield Check("sharpness", "linear regression", expected, found.largest, 1e-9)
    yield Check("rate where descent leaves", "linear regression", 2 / expected, _stable(found.largest), 1e-6)
    for name in MODELS:
        yield from _whole_hessian(name)


def _stable(curvature: float) -> float:
    """The largest rate at which plain descent on one curvature comes closer: by trying."""
    low, high = 0.0, 10.0
    while high - low > 1e-8:
        middle = (low + high) / 2
        low, high = (middle, high) if abs(1 - middle * curvature) < 1 else (low, middle)
    return low


def _whole_hessian(name: str) -> Iterator[Check]:
    """Of a tiny network that Adam has moved: as it is, and divided by Adam's scale."""
    network, batch = random_network(name, 1.5, 2), data(6, 3)
    adam = torch.optim.Adam(network.parameters(), 0.01)
    bptt = _trainer(network, adam)
    for _ in range(3):
        list(bptt.updates(batch))
    hessian = _hessian(network, batch)
    plain = sharpness(_trainer(network, torch.optim.SGD(network.parameters(), 0.1)), batch, 60)
    for kind, place, got in (("largest", -1, plain.largest), ("smallest", 0, plain.smallest)):
        yield Check(f"curvature, {kind}", name, float(torch.linalg.eigvalsh(hessian)[place]), got, 1e-8)
    moments = [adam.state[p]["exp_avg_sq"] / (1 - 0.999**3) for p in network.parameters()]
    seen = hessian / (flat(moments).sqrt() + 1e-8)[:, None]
    expected = float(torch.linalg.eigvals(seen).real.max())
    yield Check("curvature as Adam sees it", name, expected, sharpness(bptt, batch, 60).largest, 1e-6 * expected)


def _hessian(network: RecurrentModel, batch: Batch) -> Matrix:
    """The derivative of the gradient, by central differences of its entries."""
    parameters, size = [*network.parameters()], 1e-5

    def gradient() -> Tensor:
        outputs, _ = network(batch.inputs)
        return flat(torch.autograd.grad((outputs - batch.targets).square().mean(), parameters))

    rows = []
    for parameter in parameters:
        entries = parameter.data.view(-1)
        for place in range(len(entries)):
            both = []
            for sign in (1, -1):
                entries[place] += sign * size
                both.append(gradient())
                entries[place] -= sign * size
            rows.append((both[0] - both[1]) / (2 * size))
    whole = torch.stack(rows)
    return (whole + whole.T) / 2


def near_and_far() -> Iterator[Check]:
    """W = rho Q with the loss at the last step: every lag's term of the gradient in V is known."""
    time, split, rho = 12, 4, 0.9
    weight, batch = rho * orthogonal(4), data(time, 1)
    network = linear(weight)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("inputs" in name)
    asked = Batch(batch.inputs, batch.targets, torch.arange(time)[:, None] == time - 1)
    slope = 2 * (network(batch.inputs)[0][-1, 0] - batch.targets[-1, 0]).detach() * network.head.weight[0].detach()
    terms = torch.stack([
        torch.outer(torch.linalg.matrix_power(weight.T, lag) @ slope, batch.inputs[-1 - lag, 0]) for lag in range(time)
    ]).flatten(1)  # fmt: skip
    near, far = terms[:split].sum(0), terms[split:].sum(0)
    found = alignment(network, MSE, asked, split)
    expected = float(near @ far / near.norm() / far.norm())
    yield Check("alignment of near and far", "linear, rho = 0.9", expected, found.cosine, 1e-9)
    yield Check("norm of the far part", "linear, rho = 0.9", float(far.norm()), found.far, 1e-9)
    for name in MODELS:
        other = random_network(name, 1.5, 5, 2)
        yield Check("alignment of near and far", name, *_slow_alignment(other, data(10, 3), 3), 1e-9)


def _slow_alignment(network: RecurrentModel, batch: Batch, split: int) -> tuple[float, float]:
    """Every loss on a graph of its own that ends `split` steps back; beside it what the probe says."""
    parameters, near = [*network.parameters()], []
    for last in range(len(batch.inputs)):
        first = max(0, last + 1 - split)
        with torch.no_grad():
            state = network(batch.inputs[:first])[1] if first else None
        outputs, _ = network(batch.inputs[first : last + 1], state)
        near.append(flat(torch.autograd.grad((outputs[-1] - batch.targets[last]).square().mean(), parameters)))
    close = torch.stack(near).mean(0)
    outputs, _ = network(batch.inputs)
    far = flat(torch.autograd.grad((outputs - batch.targets).square().mean(), parameters)) - close
    return float(close @ far / close.norm() / far.norm()), alignment(network, MSE, batch, split).cosine


def spectrum() -> Iterator[Check]:
    """W = diag(d): condition number, directions that last and dimension follow from d alone."""
    entries = torch.tensor([1.2, 1.02, 0.97, 0.93, 0.5], dtype=torch.float64)
    found = lyapunov(linear(torch.diag(entries)), data(500, 1), None, 1, 20)
    yield Check("log condition number", "linear, diagonal", found.steps * math.log(2.4), found.log_condition, 1e-3)
    yield Check("exponents within 1/20 of 0", "linear, diagonal", 2.0, found.near_zero, 0.0)
    growth = math.log(1.2 * 1.02 * 0.97 * 0.93)
    yield Check("Kaplan-Yorke dimension", "linear, diagonal", 4 + growth / math.log(2), found.dimension, 1e-4)
    for of, exponents, expected, tolerance in (
        ("Hénon's map", (0.419, -1.623), 1.258, 1e-3),  # Sprott 2003, appendix A
        ("Lorenz's equations", (0.9056, 0.0, -14.5723), 2.062, 1e-3),
    ):
        got = kaplan_yorke(np.array(exponents), len(exponents))
        yield Check("Kaplan-Yorke dimension", f"{of}, known exponents", expected, got, tolerance)


def _trainer(network: RecurrentModel, optimizer: torch.optim.Optimizer) -> TruncatedBPTT:
    return TruncatedBPTT(network, MSE, optimizer, NoClip())
