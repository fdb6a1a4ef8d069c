"""Truncated backpropagation through time: windows, carry, detach, one update. Plain torch, no Lightning.

BPTT(k2; k1), Williams & Peng 1990's BPTT(h; h'): after every k1 steps, the gradient of the losses of these k1 steps
flows back at most k2 steps from the last of them; there the state is detached. So a loss reaches k2 - k1 .. k2 - 1
steps back; plain blocks (k1 = k2) reach 0 .. k2 - 1. With k2 = T it is full BPTT.

    k1 = 2, k2 = 4    step      0 1 2 3 4 5
                      window 1  L L              L: its loss counts
                      window 2  . . L L          .: read again, so that gradients can flow back through it
                      window 3      . . L L
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from study.learning.clipping import Clip, Clipped
from study.learning.losses import Loss
from study.models import RecurrentModel, State, detach
from study.tasks.contract import Batch


class Window(NamedTuple):
    """Steps `start` to `stop` - 1: gradients flow back to `start`, losses are taken from `first` on."""

    start: int
    first: int
    stop: int


class Update(NamedTuple):
    """One optimizer step: the loss before it, and the gradient norms before and after clipping."""

    loss: Float[Tensor, ""]
    clipped: Clipped


def windows(seq_len: int, k1: int | None, k2: int | None) -> list[Window]:
    """The windows of a sequence; every step's loss is in exactly one. The last window may be shorter.

    Args:
        seq_len: steps T.
        k1: steps between updates; None: k2.
        k2: steps gradients flow back; None: T.
    """
    k2 = min(k2 or seq_len, seq_len)
    k1 = min(k1 or k2, k2)
    return [Window(max(0, first + k1 - k2), first, min(first + k1, seq_len)) for first in range(0, seq_len, k1)]


def count(batch: Batch, k1: int | None, k2: int | None, update: Literal["window", "sequence"]) -> int:
    """How many updates a batch makes: windows in which no step counts make none."""
    if update == "sequence":
        return 1
    return sum(batch.between(window.first, window.stop).steps > 0 for window in windows(batch.longest, k1, k2))


class TruncatedBPTT:
    """Trains a model on batches of sequences, one update a window or one a sequence.

    Args:
        model: see `study.models.contract`.
        loss: see `study.learning.losses`.
        optimizer: steps on the model's parameters.
        clip: see `study.learning.clipping`; clips the gradient of every update.
        k1: steps between updates; None: k2.
        k2: steps gradients flow back; None: the whole sequence.
        update: `window`: one step a window, each window's loss normalised by its own steps. `sequence`: the
            gradients of all windows, normalised by the steps of the sequence, are added for one step.

    Attributes:
        state: after the last batch, detached; what the next batch of a stream starts from.
    """

    def __init__(
        self,
        model: RecurrentModel,
        loss: Loss,
        optimizer: Optimizer,
        clip: Clip,
        k1: int | None = None,
        k2: int | None = None,
        update: Literal["window", "sequence"] = "window",
    ):
        self.model, self.loss, self.optimizer, self.clip = model, loss, optimizer, clip
        self.k1, self.k2, self.update = k1, k2, update
        self.state: State | None = None
        self._parameters = [p for p in model.parameters() if p.requires_grad]

    def updates(self, batch: Batch, state: State | None = None) -> Iterator[Update]:
        """Train on a batch from `state` (None: zero), yielding after every optimizer step."""
        if self.update == "sequence":
            yield self._step(self.backward(batch, state))
            return
        for part, total in self._walk(batch, state):
            yield self._step(self._descend(total, part))

    def backward(self, batch: Batch, state: State | None = None) -> Float[Tensor, ""]:
        """Add the truncated gradient of a whole batch to the parameters' `grad`; return its loss. No update is made."""
        losses = [self._descend(total, batch) for _, total in self._walk(batch, state)]
        return torch.stack(losses).sum()

    def _walk(self, batch: Batch, state: State | None) -> Iterator[tuple[Batch, Float[Tensor, ""]]]:
        """Yield every window's counting steps and the sum of their losses, whose graph ends at the window's start.

        A window in which no step counts is read all the same, for the state it leaves, but not yielded.
        """
        self.state = state
        plan = windows(batch.longest, self.k1, self.k2)
        for window, following in zip(plan, [*plan[1:], None], strict=True):
            # Where k1 < k2 the next window starts inside this one: the state is kept at its start, not at our end, and
            # its first k2 - k1 steps are read again then, by the weights as updated, so that they have a graph.
            boundary = following.start if following else window.stop
            outputs, state = self._forward(batch, window, boundary, detach(self.state))
            part = batch.between(window.first, window.stop)
            if part.steps:
                yield part, self.loss.total(outputs[window.first - window.start :], part.targets, part.mask)
            self.state = detach(state)  # no gradient crosses into the next window

    def _forward(self, batch: Batch, window: Window, boundary: int, state: State | None) -> tuple[Tensor, State | None]:
        """Outputs of a whole window, and the state before step `boundary`, where the next window starts."""
        if boundary == window.start:  # the first windows of k1 < k2 all start at step 0
            return self._read(batch.between(window.start, window.stop), state)[0], state
        outputs, kept = self._read(batch.between(window.start, boundary), state)
        if boundary == window.stop:
            return outputs, kept
        rest, _ = self._read(batch.between(boundary, window.stop), kept)
        return torch.cat([outputs, rest]), kept

    def _read(self, part: Batch, state: State | None) -> tuple[Tensor, State]:
        return self.model(part.inputs, state, part.mask)

    def _descend(self, total: Tensor, over: Batch) -> Float[Tensor, ""]:
        """Backpropagate `total`, normalised by the real steps of `over`; return that loss."""
        loss = total / self.loss.normaliser(over.targets.shape[1], over.steps)
        loss.backward()
        return loss.detach()

    def _step(self, loss: Tensor) -> Update:
        """Clip, step, drop the gradient."""
        with torch.no_grad():
            clipped = self.clip([_gradient(p) for p in self._parameters], self._parameters)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return Update(loss, clipped)


def _gradient(parameter: Tensor) -> Tensor:
    """The gradient of a parameter; where the loss does not reach it, zeros, which the optimizer then sees too.

    A learnt initial state has a gradient only in the windows that start a sequence.
    """
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
