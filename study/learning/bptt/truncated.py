"""Truncated BPTT over windows that are known beforehand: read, backpropagate, cut off, update."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from study.learning.bptt.carry import Carry
from study.learning.bptt.windows import Window, count, stream_lengths, windows
from study.learning.clipping import Clip, Clipped
from study.learning.losses import Loss
from study.learning.regularizers import PENALTY, Passage, Regularizer
from study.models import RecurrentModel, State, detach
from study.models.unrolled import watched
from study.tasks.contract import Batch

K2 = "bptt/k2"
"""The record of truncations that choose how far gradients flow back: the steps they did."""


class Update(NamedTuple):
    """One optimizer step.

    Attributes:
        loss: before it, of the task alone.
        clipped: the gradient norms before and after clipping, a regularizer's gradient among them.
        records: further numbers by the name of their column: what the clip policy adds, what this truncation does, and
            what a regularizer added to the loss.
    """

    loss: Float[Tensor, ""]
    clipped: Clipped
    records: Mapping[str, Tensor | float] = {}


class Witness(Protocol):
    """Sees an update in its making; it may take gradients along the graphs that it is shown, and changes nothing."""

    def window(self, passage: Passage, outputs: Float[Tensor, "time batch outputs"], loss: Float[Tensor, ""]) -> None:
        """Look at a window before it is backpropagated.

        Args:
            passage: what was read.
            outputs: of the steps that count, on their graph.
            loss: whose gradient becomes that of the update, on its graph: normalised, and weighted if it is to be.
        """

    def gradient(self, gradients: list[Tensor]) -> None:
        """Look at the gradient of every parameter as it is about to be clipped."""


class TruncatedBPTT:
    """Trains a model on batches of sequences, one update a window or one a sequence.

    The other truncations are made of this one: they choose k1 and k2 as they go, or walk along a batch in a way of
    their own.

    Args:
        model: see `study.models.contract`.
        loss: see `study.learning.losses`.
        optimizer: steps on the model's parameters.
        clip: see `study.learning.clipping`; clips the gradient of every update, or watches every state in its making.
        k1: steps between updates; None: k2.
        k2: steps gradients flow back; None: the whole sequence.
        update: `window`: one step a window, each window's loss normalised by its own steps. `sequence`: the
            gradients of all windows, normalised by the steps of the sequence, are added for one step.
        stream: steps of a batch where batches continue each other, so that windows reach back across their borders;
            None: every batch holds whole sequences.

    Attributes:
        carry: what the next batch of a stream starts from, detached.
        regularizer: adds its gradient to that of every update, see `study.learning.regularizers`; None: there is none.
        witness: sees every update; None: nobody does.
        records: names of the numbers it adds to those of every update, columns of the history.
        draws: takes a `seed`, for it draws at random.
    """

    records: ClassVar[tuple[str, ...]] = ()
    draws: ClassVar[bool] = False

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
    ):
        self.model, self.loss, self.optimizer, self.clip = model, loss, optimizer, clip
        self.k1, self.k2, self.update, self.stream = k1, k2, update, stream
        self.carry: Carry | None = None
        self.regularizer: Regularizer | None = None
        self.witness: Witness | None = None
        self._passage: Passage
        self._parameters = [p for p in model.parameters() if p.requires_grad]

    @staticmethod
    def expected_updates(
        batch: Batch, stream: int | None, *, k1: int | None, k2: int | None, update: Literal["window", "sequence"]
    ) -> float:
        """How many updates a batch makes, in the mean where that varies; arguments as for a trainer."""
        return float(count(batch, k1, k2, update))

    def state_dict(self) -> dict[str, Any]:
        """All that decides how it truncates from here on, in tensors and plain values; a checkpoint keeps it."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore from a dict returned by `state_dict`."""

    @property
    def notes(self) -> Mapping[str, float]:
        """The numbers that `records` names, of the update that is being made."""
        return {}

    def updates(self, batch: Batch, carry: Carry | None = None) -> Iterator[Update]:
        """Train on a batch from `carry` (None: the zero state), yielding after every optimizer step."""
        if self.update == "sequence":
            yield self._step(self.backward(batch, carry))
            return
        for part, outputs in self._walk(batch, carry):
            yield self._step(self._descend(part, outputs, part, self._weight(batch, part)))

    def backward(self, batch: Batch, carry: Carry | None = None) -> Float[Tensor, ""]:
        """Add the truncated gradient of a whole batch to the parameters' `grad`; return its loss. No update is made."""
        losses = [self._descend(part, outputs, batch) for part, outputs in self._walk(batch, carry)]
        return torch.stack(losses).sum()

    def _walk(self, batch: Batch, carry: Carry | None) -> Iterator[tuple[Batch, Tensor]]:
        """Yield every window's counting steps and the outputs at them, whose graph ends at the window's start.

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
            first = window.first - window.start
            if part.steps:
                self._passage = Passage(steps.between(window.start, window.stop), detach(state), first)
                yield part, outputs[first:]
            state = detach(left)  # no gradient crosses into the next window
            self.carry = Carry(state, steps.between(boundary, window.stop) if boundary < window.stop else None)

    @property
    def _lengths(self) -> tuple[int | None, int | None]:
        """(k1, k2), on a stream as numbers."""
        return (self.k1, self.k2) if self.stream is None else stream_lengths(self.k1, self.k2, self.stream)

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
        return self.model(part.inputs, state, part.mask, watched(self.clip.watch))

    def _weight(self, batch: Batch, part: Batch) -> float:
        """What the gradient of one window of a batch, whose counting steps are `part`, is multiplied with."""
        return 1.0

    def _descend(self, part: Batch, outputs: Tensor, over: Batch, weight: float = 1.0) -> Float[Tensor, ""]:
        """Backpropagate the loss of `part`, normalised by the real steps of `over`; return it, without the weight."""
        total = self.loss.total(outputs, part.targets, part.mask)
        loss = total / self.loss.normaliser(over.targets.shape[1], over.steps)
        weighted = loss if weight == 1.0 else weight * loss
        if self.witness is not None:
            self.witness.window(self._passage, outputs, weighted)
        weighted.backward()
        return loss.detach()

    def _step(self, loss: Tensor) -> Update:
        """Regularise, scale, clip, step, drop the gradient."""
        regularised: dict[str, Tensor] = {}
        if self.regularizer is not None:
            regularised = {PENALTY: self.regularizer.add_gradient(self.model, self.loss, self._passage)}
        with torch.no_grad():
            gradients = [_gradient(p) for p in self._parameters]
            self.loss.rescale(gradients)
            if self.witness is not None:
                self.witness.gradient(gradients)
            clipped = self.clip(gradients, self._parameters)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return Update(loss, clipped, {**clipped.records, **self.notes, **regularised})


def _gradient(parameter: Tensor) -> Tensor:
    """The gradient of a parameter; where the loss does not reach it, zeros, which the optimizer then sees too.

    A learnt initial state has a gradient only in the windows that start a sequence.
    """
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
