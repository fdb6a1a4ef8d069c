"""Adaptive truncation: the smallest k2 whose estimated relative bias is within delta.

Aicher, Foti & Fox 2019 (arXiv 1905.07473), algorithm 1: from time to time look how fast gradients shrink over the lag
(`study.learning.bptt.bias`), and take the fewest lags K that keep the bias within delta; SGD converges while delta < 1.
A window of k1 steps whose gradients flow back k2 steps keeps at least k2 - k1 + 1 lags of each of its losses, so

    k2 = K + k1 - 1, but at least k2_min and at most k2_max.

What is looked at is one step of the very batch that is trained on next, and of the steps before it that were kept. (The
authors draw other subsequences, once an epoch; here `every` counts updates.) On a stream, where k2 becomes longer, it
is reached after some batches only: of the past no more was kept than the old one needed.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim import Optimizer

from study.learning.bptt.bias import fewest_lags, gradients_by_lag, position
from study.learning.bptt.carry import Carry
from study.learning.bptt.truncated import K2, TruncatedBPTT, Update
from study.learning.bptt.windows import count
from study.learning.clipping import Clip
from study.learning.losses import Loss
from study.models import RecurrentModel
from study.tasks.contract import Batch


class AdaptiveBPTT(TruncatedBPTT):
    """Trains by truncated BPTT whose `k2` is the one in force: `k2_max` before the first choice.

    Args:
        model: see `study.models.contract`.
        loss: see `study.learning.losses`.
        optimizer: steps on the model's parameters.
        clip: see `study.learning.clipping`; clips the gradient of every update.
        delta: bound on the relative bias, between 0 and 1.
        k2_min: least k2.
        k2_max: largest k2, and the one where none is within delta.
        k1: steps between updates, at most `k2_min`.
        every: least number of updates between two choices, made where a batch starts; the first before any update.
        update: see `TruncatedBPTT`.
        stream: see `TruncatedBPTT`.
    """

    records = (K2,)
    k1: int
    k2: int

    def __init__(
        self,
        model: RecurrentModel,
        loss: Loss,
        optimizer: Optimizer,
        clip: Clip,
        delta: float = 0.5,
        k2_min: int = 5,
        k2_max: int = 50,
        k1: int = 5,
        every: int = 100,
        update: Literal["window", "sequence"] = "window",
        stream: int | None = None,
    ):
        super().__init__(model, loss, optimizer, clip, k1, k2_max, update, stream)
        self.delta, self.k2_min, self.k2_max, self.every = delta, k2_min, k2_max, every
        self._since = every

    @staticmethod
    def expected_updates(  # type: ignore[override]
        batch: Batch, stream: int | None, *, k1: int, k2_max: int, update: Literal["window", "sequence"], **_: Any
    ) -> float:
        """See `TruncatedBPTT`; whatever k2 is, k1 stays."""
        return float(count(batch, k1, k2_max, update))

    @property
    def notes(self) -> Mapping[str, float]:
        """See `TruncatedBPTT`; k2."""
        return {K2: float(self.k2)}

    def state_dict(self) -> dict[str, Any]:
        """See `TruncatedBPTT`."""
        return {"k2": self.k2, "since": self._since}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See `TruncatedBPTT`."""
        self.k2, self._since = state["k2"], state["since"]

    def _walk(self, batch: Batch, carry: Carry | None) -> Iterator[tuple[Batch, Tensor]]:
        """See `TruncatedBPTT`."""
        if self._since >= self.every:
            self.k2 = self._choose(batch, carry)
            self._since = 0
        yield from super()._walk(batch, self._shortened(carry))

    def _step(self, loss: Tensor) -> Update:
        """See `TruncatedBPTT`."""
        self._since += 1
        return super()._step(loss)

    def _choose(self, batch: Batch, carry: Carry | None) -> int:
        """K2 by one step of a batch; the one place that waits for the device."""
        state, past = carry or Carry(None, None)
        steps = batch if past is None else past.followed_by(batch)
        last = position(steps)
        lags = min(last, self.k2_max)
        phi, norms = gradients_by_lag(self.model, self.loss, steps.between(0, last + 1), state, lags)
        whole = float(last) if self.stream is None else math.inf
        kept = fewest_lags(phi, norms, self.delta, self.k2_max, whole)
        return min(max(kept + self.k1 - 1, self.k2_min), self.k2_max)

    def _shortened(self, carry: Carry | None) -> Carry | None:
        """The carry without steps that a shorter k2 does not reach back to."""
        if carry is None or carry.past is None:
            return carry
        total = len(carry.past.targets)
        surplus = total - (self.k2 - self.k1)
        if surplus <= 0:
            return carry
        with torch.no_grad():
            _, state = self.model(carry.past.inputs[:surplus], carry.state)
        return Carry(state, carry.past.between(surplus, total) if surplus < total else None)
