"""Truncated backpropagation through time: windows, carry, detach, one update. Plain torch, no Lightning.

BPTT(k2; k1), Williams & Peng 1990's BPTT(h; h'): after every k1 steps, the gradient of the losses of these k1 steps
flows back at most k2 steps from the last of them; there the state is detached. So a loss reaches k2 - k1 .. k2 - 1
steps back; plain blocks (k1 = k2) reach 0 .. k2 - 1. With k2 >= T it is full BPTT, whatever k1 is.

    k1 = 2, k2 = 4    step      0 1 2 3 4 5
                      window 1  L L              L: its loss counts
                      window 2  . . L L          .: read again, so that gradients can flow back through it
                      window 3      . . L L

A stream is one long sequence that comes in batches of T steps. There k2 reaches back across the batches' borders: the
last k2 - k1 steps of a batch, and the state before them, are kept for the windows of the next one (`Carry`). So k2 may
be larger than T, as in Aicher, Foti & Fox 2019 (arXiv 1905.07473).
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from study.errors import ConfigError
from study.learning.clipping import Clip, Clipped
from study.learning.losses import Loss
from study.learning.regularizers import Passage, Regularizer
from study.models import RecurrentModel, State, detach
from study.tasks.contract import Batch, Batches


class Window(NamedTuple):
    """Steps `start` to `stop` - 1: gradients flow back to `start`, losses are taken from `first` on."""

    start: int
    first: int
    stop: int


class Update(NamedTuple):
    """One optimizer step: the loss before it, the gradient norms before and after clipping, the regularizer's penalty.

    The loss is that of the task alone; the norms are those of the gradients of both.
    """

    loss: Float[Tensor, ""]
    clipped: Clipped
    penalty: Float[Tensor, ""] | None = None


class Carry(NamedTuple):
    """What a batch of a stream hands to the next one.

    Attributes:
        state: before the first step of `past`; None: the zero state.
        past: the last steps that were read, which the next windows reach back into; None where they do not (k1 = k2).
    """

    state: State | None
    past: Batch | None

    def as_dict(self) -> dict[str, Any]:
        """As tensors and tuples of tensors, which a checkpoint can hold."""
        return {"state": self.state, "past": None if self.past is None else (self.past.inputs, self.past.targets)}


def load_carry(kept: dict[str, Any] | State | None) -> Carry | None:
    """Restore from `Carry.as_dict()`, or from the bare state that checkpoints held before windows crossed batches."""
    if not isinstance(kept, dict):
        return None if kept is None else Carry(kept, None)
    return Carry(kept["state"], None if kept["past"] is None else Batch(*kept["past"]))


def windows(seq_len: int, k1: int | None, k2: int | None, past: int | None = None) -> list[Window]:
    """The windows of a sequence; every step's loss is in exactly one. The last window may be shorter.

    Args:
        seq_len: steps T.
        k1: steps between updates; None: k2, at most T.
        k2: steps gradients flow back; None, or T and more: all.
        past: on a stream, how many earlier steps windows may reach back into: steps count from the first of them. None
            for a whole sequence.
    """
    begin = past or 0
    total = begin + seq_len
    far = k2 or total
    stride = min(k1 or far, seq_len)
    # Full BPTT is a case of its own: from where its last, shorter window would end if it were whole, k2 steps back do
    # not reach the first step.
    full = past is None and far >= seq_len
    firsts = range(begin, total, stride)
    return [Window(0 if full else max(0, f + stride - far), f, min(f + stride, total)) for f in firsts]


def stream_lengths(k1: int | None, k2: int | None, seq_len: int) -> tuple[int, int]:
    """(k1, k2) on a stream of batches of `seq_len` steps: k2 null means `seq_len`; k1 null means k2, at most `seq_len`.

    An update is made at least once a batch: k1 cannot exceed `seq_len`, which the schema checks.
    """
    far = k2 or seq_len
    return k1 or min(far, seq_len), far


def refuse_unreachable(k2: int | None, batches: Batches) -> None:
    """Refuse a truncation that no sequence of the training data is long enough for.

    Raises:
        ConfigError: naming k2 and the steps there are.
    """
    if k2 is not None and k2 > (longest := batches.longest):
        raise ConfigError(
            f"bptt.k2 = {k2}: the longest training sequence has {longest} steps, and no gradient flows further back; "
            f"allowed: 1 to {longest}, or null for all of them"
        )


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

        stream: steps of a batch where batches continue each other, so that windows reach back across their borders;
            None: every batch holds whole sequences.
        regularizer: see `study.learning.regularizers`; adds its gradient to that of every update, before it is clipped.

    Attributes:
        carry: what the next batch of a stream starts from, detached.
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
        stream: int | None = None,
        regularizer: Regularizer | None = None,
    ):
        self.model, self.loss, self.optimizer, self.clip = model, loss, optimizer, clip
        self.k1, self.k2, self.update, self.stream = k1, k2, update, stream
        self._lengths = (k1, k2) if stream is None else stream_lengths(k1, k2, stream)
        self.carry: Carry | None = None
        self.regularizer = regularizer if regularizer is not None and regularizer.acts else None
        self._passage: Passage
        self._parameters = [p for p in model.parameters() if p.requires_grad]

    def updates(self, batch: Batch, carry: Carry | None = None) -> Iterator[Update]:
        """Train on a batch from `carry` (None: the zero state), yielding after every optimizer step."""
        if self.update == "sequence":
            yield self._step(self.backward(batch, carry))
            return
        for part, total in self._walk(batch, carry):
            yield self._step(self._descend(total, part))

    def backward(self, batch: Batch, carry: Carry | None = None) -> Float[Tensor, ""]:
        """Add the truncated gradient of a whole batch to the parameters' `grad`; return its loss. No update is made."""
        losses = [self._descend(total, batch) for _, total in self._walk(batch, carry)]
        return torch.stack(losses).sum()

    def _walk(self, batch: Batch, carry: Carry | None) -> Iterator[tuple[Batch, Float[Tensor, ""]]]:
        """Yield every window's counting steps and the sum of their losses, whose graph ends at the window's start.

        A window in which no step counts is read all the same, for the state it leaves, but not yielded.
        """
        state, past = carry or Carry(None, None)
        steps = batch if past is None else past.followed_by(batch)
        behind = None if self.stream is None else len(steps.targets) - len(batch.targets)
        plan = windows(batch.longest, *self._lengths, behind)
        for window, following in zip(plan, [*plan[1:], None], strict=True):
            # Where k1 < k2 the next window starts inside this one: the state is kept at its start, not at our end, and
            # its first k2 - k1 steps are read again then, by the weights as updated, so that they have a graph.
            boundary = following.start if following else self._next_start(window)
            outputs, left = self._forward(steps, window, boundary, detach(state))
            part = steps.between(window.first, window.stop)
            if part.steps:
                first = window.first - window.start
                self._passage = Passage(steps.between(window.start, window.stop), detach(state), first)
                yield part, self.loss.total(outputs[first:], part.targets, part.mask)
            state = detach(left)  # no gradient crosses into the next window
            self.carry = Carry(state, steps.between(boundary, window.stop) if boundary < window.stop else None)

    def _next_start(self, last: Window) -> int:
        """Where the window after the last one of a batch starts: on a stream, in the batch's own steps."""
        if self.stream is None:
            return last.stop
        k1, k2 = stream_lengths(self.k1, self.k2, self.stream)
        return max(last.start, last.stop + k1 - k2)

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
        """Regularise, clip, step, drop the gradient."""
        penalty = None
        if self.regularizer is not None:
            penalty = self.regularizer.add_gradient(self.model, self.loss, self._passage)
        with torch.no_grad():
            clipped = self.clip([_gradient(p) for p in self._parameters], self._parameters)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return Update(loss, clipped, penalty)


def _gradient(parameter: Tensor) -> Tensor:
    """The gradient of a parameter; where the loss does not reach it, zeros, which the optimizer then sees too.

    A learnt initial state has a gradient only in the windows that start a sequence.
    """
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
