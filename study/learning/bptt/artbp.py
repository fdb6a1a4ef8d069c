r"""ARTBP: windows of random length, gradients reweighted so that their mean is that of full BPTT.

Anticipated reweighted truncated backpropagation (Tallec & Ollivier 2017, arXiv 1705.08209). Cuts are random: after each
block of steps the window ends with a probability c, known before the draw. Where it ends, no gradient
crosses, as in truncated BPTT; where it does not, the gradient on its way back is multiplied by 1 / (1 - c):

    d~_t = d loss_t / d s_t + d~_{t+1} d s_{t+1} / d s_t * { 0 at a cut; 1 / (1 - c) at the end of a block; 1 inside }

Of a loss and a state k steps before it, the factors on the way have the mean 1 (each is, whatever came before, 0 with
probability c and 1 / (1 - c) with 1 - c), so that with the weights held fixed the mean over cuts is, exactly,

- with `update: sequence` the gradient of full BPTT of the sequence;
- with `update: window` its sum over the updates of a sequence. Each window is therefore divided by the steps that an
  update has in the mean, not by its own: the gradient of a short window is small. (The loss that is recorded is the
  window's own.) Weights move between updates, as in any truncated BPTT;
- on a stream the gradient of full BPTT of all that came before: windows go on across the borders of batches, and an
  update is made when one ends. The open window is kept in the carry, and read when it ends; the last one of an epoch is
  dropped with its carry.

The price is variance: factors multiply to (1 - c)^-k, which a gradient that does not shrink with k shows in full.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from study.learning.bptt.carry import Carry
from study.learning.bptt.truncated import K2, TruncatedBPTT
from study.learning.clipping import Clip
from study.learning.losses import Loss
from study.learning.regularizers import Passage
from study.models import RecurrentModel, State, detach
from study.schema.bptt import cut_probability, expected_windows
from study.seeding import generator
from study.tasks.contract import Batch


class ARTBP(TruncatedBPTT):
    """Trains by ARTBP; probes that ask it for k1 and k2 get None: its mean gradient is that of full BPTT.

    Args:
        model: see `study.models.contract`.
        loss: see `study.learning.losses`.
        optimizer: steps on the model's parameters.
        clip: see `study.learning.clipping`; clips the gradient of every update.
        length: steps of a window, in the mean, above `block`.
        alpha: see `study.schema.bptt.cut_probability`.
        block: steps between two places where a window may end; the core reads them in one call.
        update: see `TruncatedBPTT`.
        stream: see `TruncatedBPTT`.
        seed: of the cuts.
    """

    records = (K2,)
    draws = True

    def __init__(
        self,
        model: RecurrentModel,
        loss: Loss,
        optimizer: Optimizer,
        clip: Clip,
        length: int = 20,
        alpha: float | None = 4.0,
        block: int = 5,
        update: Literal["window", "sequence"] = "window",
        stream: int | None = None,
        seed: int = 0,
    ):
        super().__init__(model, loss, optimizer, clip, None, None, update, stream)
        self.length, self.alpha, self.block = length, alpha, block
        self._draws = generator(seed, "truncation")
        self._longest, self._mean = 0, math.nan

    @staticmethod
    def expected_updates(  # type: ignore[override]
        batch: Batch,
        stream: int | None,
        *,
        length: int,
        alpha: float | None,
        block: int,
        update: Literal["window", "sequence"],
    ) -> float:
        """See `TruncatedBPTT`; on a stream the mean over many batches."""
        if update == "sequence":
            return 1.0
        if stream is not None:
            return batch.longest / length
        counting = [False] * math.ceil(batch.longest / block)
        for step in batch.counting.tolist():
            counting[step // block] = True
        return expected_windows(length / block, alpha, tuple(counting))

    @property
    def notes(self) -> Mapping[str, float]:
        """See `TruncatedBPTT`; the steps of the window, of a whole sequence those of its longest."""
        return {K2: float(self._longest)}

    def state_dict(self) -> dict[str, Any]:
        """See `TruncatedBPTT`."""
        return {"draws": self._draws.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `TruncatedBPTT`."""
        self._draws.set_state(state["draws"])

    def _walk(self, batch: Batch, carry: Carry | None) -> Iterator[tuple[Batch, Tensor]]:
        """See `TruncatedBPTT`; of a stream the windows that end in this batch."""
        self._mean = self._mean_steps(batch)
        state, past = carry or Carry(None, None)
        steps = batch if past is None else past.followed_by(batch)
        read, start = len(steps.targets) - len(batch.targets), 0
        self._longest, self.carry = 0, self._open(state, steps, start)
        for stop in self._stops(read, read + batch.longest):
            part = steps.between(start, stop)
            outputs, left = self._read(part, detach(state))
            self._longest = stop - start if self.update == "window" else max(self._longest, stop - start)
            if part.steps:
                self._passage = Passage(part, detach(state), 0)
                yield part, outputs
            state, start = detach(left), stop
            self.carry = self._open(state, steps, start)

    def _open(self, state: State | None, steps: Batch, start: int) -> Carry:
        """What is left of a batch after its last window: on a stream the steps of the next one so far."""
        left = self.stream is not None and start < len(steps.targets)
        return Carry(detach(state), steps.between(start, len(steps.targets)) if left else None)

    def _stops(self, read: int, total: int) -> Iterator[int]:
        """Where windows end, among `total` steps, of which `read` are known not to be the end of one."""
        start = 0
        for stop in range((read // self.block + 1) * self.block, total + (self.stream is not None), self.block):
            if self._ends((stop - start) // self.block):
                yield stop
                start = stop
        if self.stream is None:
            yield total

    def _ends(self, since: int) -> bool:
        """Draw whether a window ends after `since` blocks."""
        return float(torch.rand((), generator=self._draws, dtype=torch.float64)) < self._probability(since)

    def _probability(self, since: int) -> float:
        return cut_probability(self.length / self.block, self.alpha, since)

    def _read(self, part: Batch, state: State | None) -> tuple[Tensor, State]:
        """Block by block, the gradient reweighted between them."""
        outputs: list[Tensor] = []
        for first in range(0, len(part.targets), self.block):
            if state is not None and outputs:
                factor = 1 / (1 - self._probability(len(outputs)))
                state = tuple(_Reweighted.apply(kept, factor) for kept in state)
            read, state = super()._read(part.between(first, first + self.block), state)
            outputs.append(read)
        assert state is not None
        return torch.cat(outputs), state

    def _weight(self, batch: Batch, part: Batch) -> float:
        """See `TruncatedBPTT`: the window's own normaliser over that of an update in the mean."""
        width = batch.targets.shape[1]
        return float(self.loss.normaliser(width, part.steps) / self.loss.normaliser(width, self._mean))

    def _mean_steps(self, batch: Batch) -> float:
        """Steps whose losses an update has in the mean."""
        if self.stream is not None:
            return float(batch.targets.shape[1] * self.length)
        plan: dict[str, Any] = {"length": self.length, "alpha": self.alpha, "block": self.block}
        return batch.steps / self.expected_updates(batch, None, update=self.update, **plan)


class _Reweighted(torch.autograd.Function):
    """The same forward; backward the gradient times a factor."""

    @staticmethod
    def forward(ctx: Any, state: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return state.view_as(state)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.factor * gradient, None
