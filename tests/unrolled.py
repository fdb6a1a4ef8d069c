"""What tests of truncated BPTT share: small networks and batches, and a reference that knows nothing of windows."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from study.learning.bptt import TruncatedBPTT
from study.learning.clipping import Clip, Clipped
from study.learning.clipping.none import NoClip
from study.learning.losses import Loss
from study.learning.losses.mse import MSE
from study.models import Inputs, RecurrentModel, State, core_class, detach
from study.schema.model import MODELS
from study.tasks.contract import Batch

TIME, WIDTH, FEATURES = 11, 3, 4
PLANS = [(1, 1), (3, 3), (4, 4), (1, 4), (2, 5), (3, 4), (2, 10), (5, 11), (11, 11), (4, 30), (None, 4), (None, None)]
CLOSELY = ("lstm", "mgu")
"""A core that torch computes in one call and one that goes step by step, on which every plan is tried."""
NAMES_AND_PLANS = [(name, plan) for name in MODELS for plan in (PLANS if name in CLOSELY else [(2, 5)])]
SUM = MSE("sum")
MEAN = MSE()


def build(name: str, layers: int = 2) -> RecurrentModel:
    core = core_class(name)(FEATURES, 5, layers)
    return RecurrentModel(Inputs(FEATURES, tokens=False), core, 2)


def make(mask: str | None = None, time: int = TIME) -> Batch:
    """Some sequences; `padded` at their ends, or asked about only at a few `sparse` steps."""
    steps = torch.arange(time)[:, None]
    masks = {"padded": steps < torch.tensor([time - 2, 5, 1]), "sparse": steps == torch.tensor([time - 1, 5, 4])}
    return Batch(torch.randn(time, WIDTH, FEATURES), torch.randn(time, WIDTH, 2), masks[mask] if mask else None)


class Spy(Clip):
    """Keeps every gradient an optimizer step sees."""

    def __init__(self) -> None:
        self.seen: list[list[Tensor]] = []

    def __call__(self, gradients: list[Tensor], parameters: Sequence[Tensor]) -> Clipped:
        self.seen.append([g.clone() for g in gradients])
        return NoClip()(gradients, parameters)


def trainer(network: RecurrentModel, loss: Loss = MEAN, lr: float = 0.0, **plan: Any) -> tuple[TruncatedBPTT, Spy]:
    spy = Spy()
    return TruncatedBPTT(network, loss, torch.optim.SGD(network.parameters(), lr=lr), spy, **plan), spy


def gradients(network: RecurrentModel, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(network.parameters())))


def assert_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


def run_stepwise(network: RecurrentModel, inputs: Tensor, state: State | None) -> Iterator[tuple[Tensor, State]]:
    for t in range(len(inputs)):
        outputs, state = network(inputs[t : t + 1], state)
        yield outputs[0], state


def within_reach(network: RecurrentModel, loss: Loss, batch: Batch, cut: Callable[[int], int], steps: range) -> Tensor:
    """The sum of the losses of `steps`, each of whose graphs is unrolled anew from the state before step `cut(t)`."""
    states: list[State | None] = [None, *(detach(s) for _, s in run_stepwise(network, batch.inputs, None))]
    total = torch.zeros(())
    for t in steps:
        *_, (outputs, _) = run_stepwise(network, batch.inputs[cut(t) : t + 1], states[cut(t)])
        step = batch.between(t, t + 1)
        total = total + loss.total(outputs[None], step.targets, step.mask)
    return total


def cut(time: int, k1: int | None, k2: int | None) -> Callable[[int], int]:
    """Where the gradient of step t's loss ends: Williams & Peng's h steps before its window's end."""
    if k2 is None or k2 >= time:
        return lambda t: 0
    stride = k1 or k2
    return lambda t: max(0, (t // stride + 1) * stride - k2)
